"""The pages of the reference say what the code says, even to readers who build no site."""

import re
import subprocess
import sys

from tests.docs.documents import DOCS, document


def test_the_pages_are_what_the_code_says() -> None:
    command = [sys.executable, str(DOCS / "_extensions" / "pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_shows_signatures_fields_and_whole_docstrings() -> None:
    threads = document("reference/threads.md")
    [store] = re.findall(r"```py\n(class Threads\b.*?)```", threads, re.DOTALL)
    assert "    async def summary(self, thread_id: str) -> ThreadSummary | None:\n" in store
    assert "    version: Version\n" in threads
    assert "`treadle.Committed`" in threads
    [save] = re.findall(r"    def save\(.*?(?=\n    (?:async )?def )", threads, re.DOTALL)
    for section in ("Args:\n            thread: ", "Raises:\n            NotFound: "):
        assert section in save
    overloads = re.findall(r"    def append\(.*?(?=\n    (?:@|async def|def ))", threads, re.DOTALL)
    assert ["Args:" in each for each in overloads] == [False, True]  # the last has the docstring
    assert "$ " not in document("reference/command-line.md")
    assert "## treadle mailboxes requeue" in document("reference/command-line.md")
