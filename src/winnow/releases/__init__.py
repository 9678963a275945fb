"""Immutable releases, the registry that knows them, and one pointer per system that says which one serves."""
