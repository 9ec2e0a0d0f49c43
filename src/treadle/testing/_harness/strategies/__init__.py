"""Hypothesis strategies, from which random histories are made."""
