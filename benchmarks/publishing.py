"""What a whole run leaves in the repository: the summary, its pictures, and README's table."""

from pathlib import Path

import msgspec

from benchmarks.picture import DARK, LIGHT, draw
from benchmarks.summary import Summary, markdown

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SUMMARY = "summary.json"
PICTURES = {"table-light.svg": LIGHT, "table-dark.svg": DARK}
BEGIN, END = "<!-- benchmarks: make bench writes this -->", "<!-- end of benchmarks -->"


def publish(summary: Summary, results: Path = RESULTS, readme: Path = ROOT / "README.md") -> None:
    """Write the summary, the pictures, and the table between the marks in README."""
    results.mkdir(exist_ok=True)
    for name, content in files_of(summary).items():
        (results / name).write_text(content, encoding="utf-8")
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{section_of(summary)}{after}", encoding="utf-8")


def files_of(summary: Summary) -> dict[str, str]:
    """Return the contents of the files, by their names."""
    kept = msgspec.json.format(msgspec.json.encode(summary), indent=2).decode()
    return {
        SUMMARY: f"{kept}\n",
        **{name: draw(summary, colours) for name, colours in PICTURES.items()},
    }


def section_of(summary: Summary) -> str:
    """Return what stands between the marks in README, with the marks."""
    return f"{BEGIN}\n{markdown(summary)}\n\n{summary.machine}; commit {summary.commit}.\n{END}"


def published() -> Summary:
    """Read the summary that is in the repository."""
    return msgspec.json.decode((RESULTS / SUMMARY).read_bytes(), type=Summary)
