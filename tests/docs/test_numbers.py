"""The numbers in the documents are those of the code."""

import re

from tests.conformance.broken_backends import BROKEN_BACKENDS, ONLY_BY_HISTORIES
from tests.docs.documents import document
from treadle.backends._deadline import CALL_SECONDS
from treadle.backends.base import Backend, Guarantee
from treadle.backends.postgres import _limits as limits
from treadle.backends.postgres.location import Location
from treadle.backends.sql.migrations import all_migrations
from treadle.testing._harness.history_machine import SHORT
from treadle.testing.certification import FACETS
from treadle.testing.conformance import SUITE

WORDS = {
    "two": 2,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "twenty": 20,
    "sixty": 60,
}


def found(pattern: str, text: str) -> set[int]:
    """Return the numbers that the groups of the pattern match."""
    numbers = {match for match in re.findall(pattern, text) if match}
    assert numbers, pattern
    return {WORDS.get(number.lower()) or int(number) for number in numbers}


def test_the_guide_counts_the_methods_and_the_guarantees() -> None:
    guide = document("how-to/write-a-backend.md")
    methods = [name for name in vars(Backend) if not name.startswith("_")]
    assert found(r"the (\w+)\s+methods", guide) == {len(methods) - 1}  # and its capabilities
    assert found(r"the (\w+) numbered guarantees", guide) == {len(Guarantee)}


def test_the_explanation_counts_the_checks_and_the_broken_backends() -> None:
    text = document("explanation/conformance.md")
    assert found(r"`, 1 to\s+(\d+)\)", text) == {len(Guarantee)}
    assert found(r"in (\w+) facets", text) == {len(FACETS)}
    [checks] = found(r"There are some (\d+)", text)
    assert abs(checks - len(SUITE)) <= 20
    [broken_backends] = found(r"Some (\d+) backends that break", text)
    assert abs(broken_backends - len(BROKEN_BACKENDS)) <= 5
    assert found(r"(\w+) more pass every named\s+check", text) == {len(ONLY_BY_HISTORIES)}
    assert found(r"tries (\w+) random histories", text) == {SHORT.max_examples}
    assert found(r"random histories of (\d+) steps", text) == {SHORT.stateful_step_count}


def test_the_page_about_postgresql_lists_all_parameters_and_their_defaults() -> None:
    page = document("how-to/deploy-on-postgresql.md")
    listed = dict(re.findall(r"\| `(\w+)` \| (?:`(\w+)`|none) \|", page))
    location = Location("postgresql://agents@db.example/app")
    names = [name for name in Location.__struct_fields__ if name != "conninfo"]
    assert listed == {name: getattr(location, name) for name in names}


def test_the_page_about_postgresql_counts_connections_threads_and_seconds() -> None:
    page = document("how-to/deploy-on-postgresql.md")
    assert found(r"at most (\d+) connections", page) == {limits.CONNECTIONS}
    assert found(r"(\d+) seconds", page) == {CALL_SECONDS}
    assert found(r"has (\w+) threads on which", page) == {limits.WAITING_THREADS}
    assert found(r"then skip them for (\w+)", page) == {limits.COOLING_SECONDS}
    assert "half a second" in page
    assert limits.BUSY_MS == 500
    assert "look once a second" in page
    assert limits.LOOK_SECONDS == 1.0


def test_the_page_about_postgresql_says_how_tables_are_vacuumed() -> None:
    page = document("how-to/deploy-on-postgresql.md")
    [percent] = found(r"vacuumed when (\d+) % of", page)
    [text] = [each.text for each in all_migrations("postgres") if each.number == 1]
    scales = set(re.findall(r"vacuum_scale_factor = ([\d.]+)", text))
    assert scales == {str(percent / 100)}
