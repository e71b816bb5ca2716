"""Layers as functions of a stack's state."""
