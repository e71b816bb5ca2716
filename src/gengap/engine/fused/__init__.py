"""The training step of small networks by our own kernels: all layers of a network forward, or backward, in one call."""
