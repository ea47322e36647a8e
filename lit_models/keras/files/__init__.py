"""A Keras file read as data: its layers, their settings and weights. Nothing in a file is executed."""
