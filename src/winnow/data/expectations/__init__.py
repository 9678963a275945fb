"""Expectations: what the data of a project looks like, learned once, reviewed by people, held against what comes in."""
