"""Checkpoints to files that other programs read."""
