"""What the documents claim in numbers, measured: each module is one command that can be run again.

    python -m benchmarks             speed and memory against NumPy, PyTorch and JAX: RESULTS.md
    python -m benchmarks.quality     losses of the presets, into README.md

Reading order of the first: `measure` says how times are compared, `runners` in what kind of
processes; `runner_npgpt` has what is timed, and `runner_numpy`, `runner_torch`, `runner_jax` have
the same by other libraries, the baselines. `kernels`, `train_step`, `generation`, `memory`,
`prepare`, `start_up` and `scaling` are the parts, `report` makes tables of what they find.
"""
