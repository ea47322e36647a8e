"""Files: locations, downloads, checksums, readers, and the data cache."""
