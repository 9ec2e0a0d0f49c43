"""What tirea 0.5 did: 2,000 patches, and 4,800 calls in 30 scenarios.

`recorded.zip` holds JSON lines. `python -m tests.conformance.pack_recorded FOLDER` writes it from
a folder with the recordings, `patches.jsonl` and `scenario-*.jsonl`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec

ARCHIVE = Path(__file__).parent / "recorded.zip"
PATCHES = "patches.jsonl"
SCENARIOS = "scenarios.jsonl"
SCENARIO_IDS = tuple(f"7-{number}" for number in range(30))
"""The scenarios, by the ids in their recordings: the seed of a generator, and a number."""


class Scenario(msgspec.Struct, frozen=True):
    """Calls on an empty store, one after the other."""

    calls: list[dict[str, Any]]
    files: dict[str, Any]
    """The documents that the calls leave behind, by their path."""


def load_patches() -> list[dict[str, Any]]:
    """Load the patches: each has a document, a patch, and the result or the error."""
    return _load(PATCHES)


@cache
def load_scenarios() -> dict[str, Scenario]:
    """Load the scenarios by their ids."""
    scenarios: dict[str, Scenario] = {}
    lines = iter(_load(SCENARIOS))
    for head in lines:
        calls = [next(lines) for _ in range(head["steps"])]
        scenarios[head["scenario"]] = Scenario(calls, next(lines)["files"])
    return scenarios


def _load(member: str) -> list[dict[str, Any]]:
    with ZipFile(ARCHIVE) as archive, archive.open(member) as lines:
        return [json.loads(line) for line in lines]
