"""The model and its rules: pure functions and frozen values."""
