""". layer."""
