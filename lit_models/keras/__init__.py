"""All that makes torch match Keras: initialisers and optimizer rules."""
