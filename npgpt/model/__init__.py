"""The transformer. Reading order: embeddings, attention, mlp, block, gpt; `module` is the base.
`size` counts what a GPT takes, and `ngram` is what it is compared with.
"""

from npgpt.model.gpt import GPT
