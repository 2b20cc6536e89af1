"""Models in other programs' files: arrays and settings in and out, no model.

`huggingface` reads and writes the folders of GPT-2 models that the transformers library uses.
"""
