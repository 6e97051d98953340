"""The tables and figures of the paper, made again: which runs they need, and what the runs say."""
