"""The microscope: one HTML file, in which a trained GPT runs and every number can be opened.

Reading order: `record` observes a gradient, `history` reads a run's settings and text, `packing`
packs the weights, `page` opens a model and assembles the file.

The browser's part is in `page/`: `ops.js` and `model.js` are `npgpt.gpt` in JavaScript, `rules.js`
the vector-Jacobian products of `autograd.ops`, and `check.js` compares these with finite
differences; `tokenizer.js`, `grammar.js` and `sampling.js` are named after the modules that they
mirror. `look.js` is the visible page, `state.js` its state, `elements.js` its parts, and each view
is a file of `views/`. There is no build step: `page` joins the files.
"""
