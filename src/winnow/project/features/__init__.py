"""Features as people see them: what they mean, what they are worth, what they were, what they cost."""
