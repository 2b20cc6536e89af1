"""Large data and others' files: corpora, token files, models of the transformers library."""
