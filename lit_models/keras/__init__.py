"""Keras beside torch: its training rules, its files, and the networks here that a Keras model can become."""
