"""Decisions about content: policies, the record of what was decided, appeals and human review."""
