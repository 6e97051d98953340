"""One script for each claim of speed or memory; each prints a ratio to a peer or a limit."""
