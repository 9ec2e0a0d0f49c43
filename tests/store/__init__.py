"""The façade: arguments, batches, URLs, copies; on one backend where any will do."""
