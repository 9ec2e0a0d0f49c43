"""That the benchmarks run; what they measure is no test."""
