"""What the documents claim in numbers, measured: each module is one command that can be run again.

    python -m benchmarks.quality     losses of the presets, into README.md
"""
