"""M3GNet and TensorNet of matgl."""
