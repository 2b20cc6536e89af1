"""Text generation: from a model's logits to one token, and from one token to the next.

Reading order: `sampling.py` (how a token is drawn from one row of logits), then `generate.py`
(the autoregressive loop around it). Nothing here knows a model: to this package a model is a
callable that takes token ids and returns the logits of the token that follows them. `cache.py` has
what is kept of a context between two tokens. `decoder.py` is the fast path of a GPT, `weights.py`
how its weights are stored; `text.py` turns tokens into text.
"""

from npgpt.generation.generate import generate, stream
from npgpt.generation.sampling import Sampling

__all__ = ["Sampling", "stream", "generate"]
