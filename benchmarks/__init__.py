"""Benchmarks: Treadle, its peers, and the same work by hand, measured in one run."""
