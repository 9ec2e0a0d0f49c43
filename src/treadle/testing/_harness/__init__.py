"""The machinery below the conformance suite; no part of the public interface."""
