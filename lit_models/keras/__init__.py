"""All that makes torch match Keras: initialisers, optimizer rules, and Keras' files in and out."""
