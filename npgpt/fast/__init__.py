"""The same results sooner: compiled generation, stored weights, the compiled tokenizer."""
