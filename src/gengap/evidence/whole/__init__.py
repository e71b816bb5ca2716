"""The evidence of a study as a whole."""
