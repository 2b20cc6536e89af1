"""From text to batches. Reading order: grammar, tales, corpora, batches."""
