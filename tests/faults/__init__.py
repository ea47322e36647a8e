"""Faults of all kinds, tried for real: a few in each default run, all of them by `make faults`."""
