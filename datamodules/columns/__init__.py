"""Tables of features: their columns, and how numbers and categories become inputs of a network."""
