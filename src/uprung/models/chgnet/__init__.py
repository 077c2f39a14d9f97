"""CHGNet: checkpoints, neighbour graphs with angles, and an exact packed forward pass."""
