"""Hand-written fast paths, each beside the plain version that it equals."""
