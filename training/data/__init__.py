"""From files to interactions and splits."""
