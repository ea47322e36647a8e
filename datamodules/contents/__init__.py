"""What is in the data: counts, lengths, repeated samples and samples to look at."""
