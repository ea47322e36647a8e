"""What each difference between Keras and PyTorch costs if a port ignores it: docs/porting.md."""
