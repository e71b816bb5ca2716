"""The scoreboard: which measures explain the generalization gap, judged on a table of networks. Never torch."""
