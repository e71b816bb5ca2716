"""The Hessian of the mean training loss: products, extremes, the whole matrix."""
