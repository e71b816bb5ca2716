"""A laboratory for which networks train, which generalise, and why."""
