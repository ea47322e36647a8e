"""Keras for torch: its training rules, its files, and the networks here that Keras models can be converted to."""
