"""The same results as `npgpt.tokenizer.bpe`, compiled, and for texts larger than memory."""
