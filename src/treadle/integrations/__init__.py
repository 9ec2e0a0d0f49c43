"""Integrations: conversations in the formats of other libraries and services."""
