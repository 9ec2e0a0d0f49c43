"""Tests of the blocking store."""
