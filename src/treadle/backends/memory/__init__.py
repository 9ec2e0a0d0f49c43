"""The model: dictionaries and the rules of the core."""
