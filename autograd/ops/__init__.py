"""All ops, a forward and right below it its vector-Jacobian product. Reading order: arithmetic,
reductions, shaping, linalg, nn, attention, loss. `autograd/__init__.py` lists them by name."""
