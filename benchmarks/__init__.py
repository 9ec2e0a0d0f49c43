"""How fast Weft is, beside the same syncs done by hand, in one run."""
