"""What the guide for contributors names is there."""

import re
from pathlib import Path

import treadle

ROOT = Path(__file__).parents[2]
PACKAGE = Path(treadle.__file__).parent
PLACES = (PACKAGE, PACKAGE / "backends", ROOT)


def test_every_file_that_it_names_is_there() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([\w./-]+/[\w./-]*\.(?:py|md|sql|lock))`", guide))
    assert len(named) > 15
    assert [path for path in named if not any((place / path).exists() for place in PLACES)] == []
