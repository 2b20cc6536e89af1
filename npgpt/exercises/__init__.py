"""Exercises: each has a function to write, and recognises common faults.

An exercise is a module here, named after the function to write. It has

    TASK       the task with its equation; the docstring of the reader's file
    RETURNS    names of the function's results
    HELPERS    solutions of earlier exercises that it uses, if any
    WHERE      the same function in this program
    HINTS      from a first step to nearly the answer
    NAME(...)  the solution; its docstring has the shapes of arguments and results
    cases      a random generator -> dicts of arguments
    FAULTS     description of a fault -> the edits that plant it, {text of the solution: new text}
    PLANTED    in a hunt: the edits of the solution that make the faulty function of the sheet

`sheet.py` writes the reader's file, `judge.py` reports the faults in it, `apart.py` ends an answer
that hangs, `track.py` puts right answers into `my_gpt.py`, a GPT that trains.
"""

import importlib

SECTIONS = {  # of CONCEPTS.md, in its order; none needs what comes later in the text
    "Tokenization": ("merge", "learn_merges", "encode"),
    "Embeddings": ("embed",),
    "Attention Mechanism": ("causal_mask", "scores", "split_heads", "hunt_attention", "attention"),
    "Transformer Architecture": ("hunt_layer_norm",),
    "Training Process": ("cross_entropy_vjp", "learning_rate", "clip", "adamw", "train"),
    "Text Generation": ("temperature", "top_k", "top_p", "cached_attention"),
    "Scaling Laws": ("count_parameters",),
    "Reward": ("policy_vjp", "group_baseline"),
    "Backward Rules": ("embedding_vjp", "broadcast_vjp", "matmul_vjp", "softmax_vjp", "gelu_vjp",
                       "layer_norm_vjp", "attention_vjp", "residual_vjp", "backward"),
}
EASY = {"embed", "causal_mask", "scores", "split_heads", "hunt_layer_norm", "learning_rate",
        "clip", "train", "residual_vjp", "temperature", "count_parameters"}
HARD = {"learn_merges", "encode", "softmax_vjp", "attention_vjp", "backward"}
NAMES = [name for names in SECTIONS.values() for name in names]


def load(number):
    """Return the module of an exercise, counted from 1. Raises ValueError for a wrong number."""
    if not 1 <= number <= len(NAMES):
        raise ValueError(f"there is no exercise {number}; give 1 to {len(NAMES)}")
    return importlib.import_module(f"npgpt.exercises.{NAMES[number - 1]}")


def function_of(exercise):
    """Return the solution of an exercise's module."""
    return getattr(exercise, exercise.__name__.rpartition(".")[2])
