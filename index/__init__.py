"""Codes, artifacts and exact Hamming ranking: what training writes and the service reads."""
