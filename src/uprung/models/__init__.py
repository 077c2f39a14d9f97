"""Architectures behind one interface; prediction and calculators."""
