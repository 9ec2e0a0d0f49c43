"""How fast Treadle is, beside its peers and the same work by hand, in one run."""
