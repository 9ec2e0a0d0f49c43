"""The memory backend passes the suite."""

from pathlib import Path

import pytest

from weft.backends.memory.backend import MemoryBackend
from weft.core.clock import Clock
from weft.testing import BackendConformance, Subject


def make(place: Path, clock: Clock) -> MemoryBackend:
    return MemoryBackend(clock)


MEMORY = Subject(make=make)


class TestMemory(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return MEMORY
