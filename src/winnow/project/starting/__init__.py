"""Starts systems of one's own: from one in the box, cut to the data there is."""
