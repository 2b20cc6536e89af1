"""The microscope: one HTML file in which a trained GPT runs, and every number can be opened.

Reading order: `subject` opens what is looked at, `record` watches the engine take one gradient,
`history` reads how the run was trained, `weights` packs the numbers, `page` puts the file together.

What the file holds besides is in `page/`, as it is read by a browser: `ops.js` and `model.js` are
`npgpt.gpt` in JavaScript, to be read beside it, `rules.js` the vector-Jacobian products of
`autograd.ops`, and `check.js` compares these with finite differences; `tokenizer.js`, `grammar.js`
and `sampling.js` have the names of what they mirror. `look.js` is the page as a person sees it,
`state.js` what it knows, `draw.js` its elements, and each view is a file of `views/`. There is no
build step: `page` joins the files.
"""
