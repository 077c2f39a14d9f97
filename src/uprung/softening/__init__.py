"""Softening: slopes of predicted against labelled forces, and what corrects them."""
