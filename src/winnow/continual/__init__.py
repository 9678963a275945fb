"""continual layer."""
