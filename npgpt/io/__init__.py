"""Formats of files and large data: corpora, token files, downloads, run folders' locks, models of
the transformers library, tokenizers."""
