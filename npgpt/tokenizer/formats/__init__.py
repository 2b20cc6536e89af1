"""The files that tokenizers are kept in: ours, Hugging Face's, GPT-2's and tiktoken's."""
