"""The transformer. Reading order: embeddings, attention, mlp, block, transformer, gpt; `module` is
the base of the parts. Then the other models: llama, bert, t5. `size` counts what a model takes, and
`ngram` is what a GPT is compared with.
"""

from npgpt.model.bert import Bert
from npgpt.model.gpt import GPT
from npgpt.model.llama import Llama
from npgpt.model.t5 import T5

MODELS = {"gpt": GPT, "llama": Llama, "bert": Bert, "t5": T5}
