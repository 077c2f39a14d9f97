"""A toy: a network of pairs."""
