"""Training of a run: how it begins, the loop, gradients in micro-batches, losses, resumption, tracking, planning."""
