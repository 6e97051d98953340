"""Offline: from an interactions file to codes, metrics and an artifact."""
