"""One file per command without settings: its name is the file's, and its summary the first line of the file."""
