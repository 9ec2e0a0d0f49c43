"""The rules of the model, through the façade, on every backend."""
