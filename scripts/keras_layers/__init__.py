"""Measures how far each layer here is from that of Keras, and writes docs/keras.md."""
