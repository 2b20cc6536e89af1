"""Exercises: each has a function to write, and knows what it looks like if it is wrong.

An exercise is a module here, named after the function to write. It has

    SECTION    of CONCEPTS.md
    TASK       what to do, with the equation; the docstring of the reader's file
    RETURNS    names of what the function returns
    WHERE      what does the same in this program
    HINTS      from a nudge to nearly the answer
    NAME(...)  the function itself, which is the solution; its docstring says what goes in and out
    cases      a random generator -> dicts of arguments
    FAULTS     what is wrong, in words -> a function that is wrong in just this way
    planted    in a hunt: the function with faults that the reader gets, and not a blank

`sheet.py` writes the file with the blank, `judge.py` says what is wrong in it.
"""

import importlib

NAMES = (
    "merge", "encode",
    "embedding_vjp",
    "causal_mask", "scores", "softmax_vjp", "split_heads", "hunt_attention",
    "layer_norm_vjp", "gelu_vjp", "residual_vjp", "hunt_layer_norm",
    "cross_entropy_vjp", "learning_rate", "adamw", "clip",
    "temperature", "top_k", "top_p",
    "count_parameters",
)  # fmt: skip


def load(number):
    """The module of an exercise, counted from 1. Raises ValueError for a number that has none."""
    if not 1 <= number <= len(NAMES):
        raise ValueError(f"there is no exercise {number}; give 1 to {len(NAMES)}")
    return importlib.import_module(f"npgpt.exercises.{NAMES[number - 1]}")


def function_of(exercise):
    """The solution of an exercise's module."""
    return getattr(exercise, exercise.__name__.rpartition(".")[2])
