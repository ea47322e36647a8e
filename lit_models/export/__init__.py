"""Exports checkpoints to files for other programs. Each format has a module in this folder."""
