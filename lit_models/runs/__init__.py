"""Everything around the training: run folder, checkpoints, progress on the screen, results and predictions."""
