"""Worlds of synthetic people whose truth is known, and who act on a running service through its HTTP API only."""
