"""The memory backend: the model's tables and nothing else."""

from treadle.backends.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
