"""The benchmarks run; their figures are not tested."""
