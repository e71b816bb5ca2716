"""Many networks of one architecture as one function: what training and probes are built on."""
