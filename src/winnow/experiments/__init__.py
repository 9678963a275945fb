"""Who sees which arm, and what the arms did."""
