"""Everything between a network and a Trainer: targets, losses, metrics, optimizers, and the steps that use them."""
