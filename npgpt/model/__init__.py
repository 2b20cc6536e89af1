"""The transformer. Reading order: embeddings, attention, mlp, block, gpt; `module` is the base."""

from npgpt.model.gpt import GPT
