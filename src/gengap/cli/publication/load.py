"""Weights of STUDY without gengap: ``weights(cell)`` is the state of a network; needs pandas, safetensors, torch."""

import pandas
from safetensors.torch import load_file

cells = pandas.read_csv("cells.csv", index_col="cell")


def weights(cell):
    tensors = load_file(f"weights/{cells.pack[cell]}.safetensors")
    return {name.removeprefix(f"{cell}/"): one for name, one in tensors.items() if name.startswith(f"{cell}/")}
