"""The command ``gengap``."""
