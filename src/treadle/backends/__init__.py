"""Backends: where a store keeps its data."""
