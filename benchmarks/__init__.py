"""What the documents claim in numbers, measured: each module is one command that can be run again.

    python -m benchmarks             speed and memory against NumPy, PyTorch and JAX: RESULTS.md
    python -m benchmarks.quality     losses of the presets, into README.md

Reading order of the first: `measure` says how times are compared, `process` in what kind of
process; `report` makes tables of them. `kernels`, `train_step`, `memory`, `start_up` and `scaling`
are the parts, `peers_torch` and `peers_jax` the same model by other libraries.
"""
