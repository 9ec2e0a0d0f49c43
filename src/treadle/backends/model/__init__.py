"""The model: tables that apply batches and claims by the core's rules, used by every backend."""
