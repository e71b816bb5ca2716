"""Versions of the numbers: raised when a result may differ although no setting changed, so that it is made again."""

DATA = 2
TRAINING = 7
SUBSPACE = 2  # of training in a subspace, beside that of training
PROBES = 6
SIMULATIONS = 1
