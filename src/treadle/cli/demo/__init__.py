"""`treadle demo`: scripted conversations, worker processes, and a proof that nothing is lost."""
