"""From text to batches. Reading order: grammar, tales, texts, corpora, tokens, batches."""
