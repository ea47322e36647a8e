"""Hand-written fast paths. Each computes the same numbers as the PyTorch layer that it replaces."""
