"""What Numba compiles: the passes of the layers, and the vectors and tiles that they are made of."""
