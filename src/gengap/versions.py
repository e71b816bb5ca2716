"""Versions of the numbers: raised when a result may differ although no setting changed, so that it is made again."""

DATA = 2
TRAINING = 6
PROBES = 5
SIMULATIONS = 1
