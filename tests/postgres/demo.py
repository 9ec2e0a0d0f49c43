"""`weft demo` on a PostgreSQL server that is made for it, and gone afterwards."""

import subprocess
import sys
from pathlib import Path

from tests.postgres.server import Server


def main() -> int:
    """Run the demo with the arguments of this program; its exit status."""
    weft = Path(sys.executable).parent / "weft"
    with Server() as server:
        store = f"{server.url}&schema=demo"
        status = subprocess.call([weft, "demo", "--store", store, *sys.argv[1:]])
    print("The server was made for this, and is gone with the store.", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
