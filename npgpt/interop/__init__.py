"""Models in other programs' files: arrays and settings in and out, no model.

`huggingface` reads and writes folders of the transformers library; `gpt2`, `llama`, `bert` and `t5`
know what it calls the settings and weights of each.
"""
