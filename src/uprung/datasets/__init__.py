"""Splits, nested subsets, sampling, sizes, and the store that training reads."""
