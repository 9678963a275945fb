"""What people did and what things are: declared, checked at one edge, logged for good, copied for training."""
