"""The table of docs/reference/certified.md is made from results."""

from tests.frameworks.certificates import Certificate
from tests.frameworks.certified_page import BEGIN, END, table, written

RESULTS = [
    Certificate("Saver", {"lg": "1.2", "lg-suite": "0.1"}, "its suite", "sqlite", 1_040, 1_040),
    Certificate("Saver", {"lg": "1.2", "lg-suite": "0.1"}, "its suite", "memory", 80, 81),
    Certificate("Memory", {"lg": "1.2"}, "our tests", "files", 7, 7),
]
TABLE = """\
| adapter | suite | versions | SQLite | files | PostgreSQL | memory |
|---|---|---|---|---|---|---|
| Memory | our tests | lg 1.2 | not run | 7 of 7 | not run | not run |
| Saver | its suite | lg 1.2<br>lg-suite 0.1 | 1,040 of 1,040 | not run | not run | 80 of 81 |
"""


def test_a_suite_is_a_row_and_a_backend_a_column() -> None:
    assert table(RESULTS) == TABLE


def test_the_rest_of_the_page_stays() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n\n{END}\nThe end.\n"
    new = written(page, RESULTS)
    assert new == f"# Title\n\n{BEGIN}\n{TABLE}\n{END}\nThe end.\n"
    assert written(new, RESULTS) == new
