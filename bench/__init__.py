"""Benchmarks against named peers, side by side in one run; see docs/benchmarks.md."""
