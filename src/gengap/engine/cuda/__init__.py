"""Packs of small networks on a GPU, without a launch per network; `README.md` explains it."""
