"""Packs the recordings of tirea into the archive that the package ships.

python -m tests.conformance.pack_recorded FOLDER

FOLDER has `patches.jsonl` and `scenario-*.jsonl`, as they were recorded. The archive is compressed
with bzip2, which makes these recordings half as large as deflate does.
"""

import sys
from pathlib import Path
from zipfile import ZIP_BZIP2, ZipFile, ZipInfo

from treadle.testing._harness.recorded import ARCHIVE, PATCHES, SCENARIOS


def pack(folder: Path, archive: Path) -> None:
    """Write the archive; the same recordings always give the same bytes."""
    scenarios = sorted(folder.glob("scenario-*.jsonl"))
    with ZipFile(archive, "w") as packed:
        for member, files in ((PATCHES, [folder / "patches.jsonl"]), (SCENARIOS, scenarios)):
            info = ZipInfo(member)  # its time is the epoch of ZIP, not that of this run
            info.compress_type = ZIP_BZIP2
            packed.writestr(info, b"".join(file.read_bytes() for file in files))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pack(Path(sys.argv[1]), ARCHIVE)
