"""Files of others and large ones: corpora, token files, folders of the transformers library, the
formats of tokenizers."""
