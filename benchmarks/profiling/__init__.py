"""`make profile`: how long each layer of Treadle takes for the most common commits."""
