"""Tests of the adapters, beside the frameworks; `make integrations` runs them."""
