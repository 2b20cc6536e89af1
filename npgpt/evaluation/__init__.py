"""How good a model is: the exact loss of the grammar, the share of right answers."""
