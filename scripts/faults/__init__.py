"""Tries faults on the real program: what `make faults` runs."""
