"""The command line: LitCLI, the commands beside it, and what they print."""
