"""What the reference, tirea 0.5, made of 2,000 patches and of 4,800 calls in 30 scenarios."""

from pathlib import Path

PATCHES = Path(__file__).parent / "patches.jsonl"
SCENARIOS = sorted(Path(__file__).parent.glob("scenario-*.jsonl"))
