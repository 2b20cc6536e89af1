"""Measurements behind the numbers in the documents.

    python -m benchmarks                    speed beside NumPy, PyTorch, JAX, llama.cpp: RESULTS.md
    python -m benchmarks real_model TEXT    a published model on a text of yours
    python -m benchmarks.paired CHECKOUT    this code beside that of another checkout

Reading order: `measure` says how times are compared, `runners` in which processes; `runner_npgpt`
has the timed functions, and the other runners have the same functions by other libraries. The parts
are the modules in `PARTS`; `report` keeps what they measured, and writes it into the documents.
"""

PARTS = {
    "train_step": "whole training steps",
    "kernels": "layers, attention, norms, activations, loss, optimizer",
    "generation": "tokens a second, beside what memory allows and other libraries",
    "real_model": "a published model, beside PyTorch's numbers and llama.cpp's speed",
    "parallel": "two processes that share a step, and by arithmetic 512",
    "quality": "losses of the presets after training",
    "bf16_quality": "the cost of bfloat16 products in loss",
}
TRAINED = ("quality", "bf16_quality")  # losses, some hours of training: by name only
