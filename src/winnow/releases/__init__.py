"""releases layer."""
