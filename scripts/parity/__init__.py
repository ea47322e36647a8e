"""Whole trainings of the original programs and of our counterparts, side by side: docs/parity.md."""
