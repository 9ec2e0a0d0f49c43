"""The documents and the demo import only what is public, as a user of the library must."""

import re

from tests.tidy.tree import ROOT, SOURCE, imported_by, name_of

PUBLIC = re.compile(
    r"treadle(\.blocking|\.http|\.commands|\.queries|\.patches|\.turns|\.errors|\.worker|\.testing|\.integrations\.\w+"
    r"|\.backends\.base|\.backends\.memory|\.backends\.model)?"
)
PUBLIC_OR_COMMAND = re.compile(
    rf"{PUBLIC.pattern}|treadle\.cli(\.\w+)*|treadle\.backends\.urls|treadle\.store\.pages"
)
"""The demo is part of the command, and may use what the command uses to show URLs and pages."""

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_documents_import_public_modules_only() -> None:
    hidden = [
        f"{name_of(path)} imports {name}"
        for path in DOCUMENTS
        for name in imported_by(code_in(path.read_text(encoding="utf-8")))
        if not PUBLIC.fullmatch(name)
    ]
    assert not hidden, "\n".join(["", *hidden])


def test_the_demo_imports_public_modules_only() -> None:
    hidden = [
        f"{name_of(path)} imports {name}"
        for path in sorted((SOURCE / "cli" / "demo").rglob("*.py"))
        for name in imported_by(path.read_text(encoding="utf-8"))
        if not PUBLIC_OR_COMMAND.fullmatch(name)
    ]
    assert not hidden, "\n".join(["", *hidden])


def code_in(text: str) -> str:
    """Return all Python of a document, in one piece."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
