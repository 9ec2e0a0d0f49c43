"""Write docs/reference/certified.md from the results that the tests have recorded.

`make certified` runs this after `make integrations`. With `--check` it only fails if the page does
not say what the results say; `make integrations` does that.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.frameworks.certificates import FOLDER, Certificate

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "certified.md"
BACKENDS = {"sqlite": "SQLite", "files": "files", "postgres": "PostgreSQL", "memory": "memory"}
BEGIN, END = "<!-- results -->\n", "<!-- end -->\n"


def results() -> list[Certificate]:
    """Read the results of the last run."""
    files = sorted(FOLDER.glob("*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=Certificate) for path in files]


def table(certificates: Iterable[Certificate]) -> str:
    """Return the results as a table, with a row for each suite."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for each in certificates:
        versions = "<br>".join(f"{name} {number}" for name, number in each.versions.items())
        cells = rows.setdefault((each.framework, each.suite, versions), {})
        cells[each.backend] = f"{each.passed:,} of {each.total:,}"
    lines = [
        f"| adapter | suite | versions | {' | '.join(BACKENDS.values())} |",
        f"|{'---|' * (3 + len(BACKENDS))}",
    ]
    for (framework, suite, versions), cells in sorted(rows.items()):
        counts = " | ".join(cells.get(backend, "not run") for backend in BACKENDS)
        lines.append(f"| {framework} | {suite} | {versions} | {counts} |")
    return "\n".join(lines) + "\n"


def written(page: str, certificates: Iterable[Certificate]) -> str:
    """Return the page with the results."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(certificates)}\n{END}{tail}"


def main() -> int:
    """Write the page, or check it."""
    found = results()
    if not found:
        print(f"{FOLDER} has no results; run `make integrations`", file=sys.stderr)
        return 1
    page = PAGE.read_text(encoding="utf-8")
    new = written(page, found)
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    elif new != page:
        print(f"{PAGE} is not what the tests have shown; run `make certified`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
