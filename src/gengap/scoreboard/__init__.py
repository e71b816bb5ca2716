"""The scoreboard: which measures explain the generalization gap, judged on a table of networks. It imports no torch."""
