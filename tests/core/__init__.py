"""The core's rules, without a store."""
