"""Studies of full training runs, and the picture of the README. They run in the repository and are not installed."""
