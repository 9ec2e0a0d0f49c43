"""Tests of the importers of ChatGPT's and Claude's exports."""
