"""From text to batches. Reading order: grammar, words, tales, texts, corpora, tokens,
batches."""
