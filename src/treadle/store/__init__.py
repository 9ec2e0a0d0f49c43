"""The façade: arguments and defaults, then one call to the backend."""
