"""Checkpoints as files for other programs, one file here per format."""
