"""Faster paths to the same results: compiled generation, quantised weights."""
