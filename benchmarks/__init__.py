"""How fast Weft is, beside its peers and the same work by hand, in one run."""
