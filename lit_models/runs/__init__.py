"""What surrounds training: the run folder, checkpoints, progress on the screen, results and predictions."""
