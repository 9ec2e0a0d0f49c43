"""Processes of this command that work for another one of it, and never outlive it."""
