"""Measurements behind the numbers in the documents: each module is a command to run again.

    python -m benchmarks             speed against NumPy, PyTorch and JAX: RESULTS.md
    python -m benchmarks real_model TEXT    a published model beside PyTorch and llama.cpp
    python -m benchmarks.quality     losses of the presets, into the README.md here

Reading order of the first: `measure` says how times are compared, `runners` in which processes;
`runner_npgpt` has the timed functions, and `runner_numpy`, `runner_torch`, `runner_jax` have the
baselines, the same functions by other libraries. `kernels`, `train_step`, `bfloat16`, `generation`
and `real_model` are the parts, `report` makes their tables.
"""
