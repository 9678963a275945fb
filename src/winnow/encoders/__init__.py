"""encoders layer: texts and images as vectors, and the cache of vectors that all processes share."""
