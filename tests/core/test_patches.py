"""The reference's patches: 2,000 documents, each with the result or the error it gave."""

import json
from pathlib import Path

from weft.core.codec import from_plain
from weft.core.patches import Patch, apply_patch
from weft.errors import PatchError

VECTORS = Path(__file__).parent.parent / "vectors" / "patches.jsonl"


def outcome(case: dict[str, object]) -> str:
    try:
        result = apply_patch(case["doc"], from_plain(Patch, case["patch"]))
    except PatchError as error:
        return f"State: {error}"
    return json.dumps(result, sort_keys=True)  # tells 1, 1.0 and true apart


def expectation(case: dict[str, object]) -> str:
    if "raises" in case:
        return f"{case['raises']}: {case['message']}"
    return json.dumps(case["returns"], sort_keys=True)


def test_every_patch_does_what_the_reference_does() -> None:
    cases = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]
    assert len(cases) == 2000
    wrong = [case for case in cases if outcome(case) != expectation(case)]
    assert wrong == []


def test_applying_a_patch_leaves_the_document_alone() -> None:
    cases = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()[:300]]
    for case in cases:
        before = json.dumps(case["doc"])
        outcome(case)
        assert json.dumps(case["doc"]) == before
