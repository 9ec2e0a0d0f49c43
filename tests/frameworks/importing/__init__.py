"""Tests of the importers of the frameworks' databases."""
