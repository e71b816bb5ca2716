"""Numerical methods on many small problems at once."""
