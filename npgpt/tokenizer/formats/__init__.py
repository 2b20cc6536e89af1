"""The files that tokenizers are kept in.

    tokenizer_json   what `save` writes and `load` reads, for either tokenizer
    huggingface      tokenizer.json of Hugging Face's `tokenizers`: what BPETokenizer is kept in
    gpt2             GPT-2's encoder.json and vocab.bpe
    tiktoken         tiktoken's files of ranks

A reader of a format returns the arguments of the tokenizer as a dict: to add a format, write such
a function, and a classmethod of BPETokenizer that calls it.
"""
