"""Finds candidates among many items: vector indexes behind one protocol, co-watched neighbours, decayed popularity."""
