"""Compares full training runs of the original programs and of our counterparts: docs/parity.md."""
