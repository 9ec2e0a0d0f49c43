"""The files backend passes the suite."""

import pytest

from weft.backends.files.backend import FilesBackend
from weft.testing import BackendConformance, Subject
from weft.testing.stepping import make_files

FILES = Subject(make=FilesBackend, make_stepping=make_files)


class TestFiles(BackendConformance):
    @pytest.fixture
    def subject(self) -> Subject:
        return FILES
