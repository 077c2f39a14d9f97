"""Errors of trained networks, at the target and at the source; the index of a study's networks."""
