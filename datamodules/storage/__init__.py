"""Files: where they are, how they are downloaded and verified, how they are read, and the data cache."""
