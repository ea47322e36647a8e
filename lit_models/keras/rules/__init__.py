"""Makes torch compute as Keras does: initial weights, optimizer steps, layouts of weights."""
