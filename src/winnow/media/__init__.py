"""Pictures and texts as raw material: decoded within limits, normalised, hashed."""
