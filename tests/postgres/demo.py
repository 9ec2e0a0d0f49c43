"""`treadle demo` on a new PostgreSQL server, which is removed afterwards."""

import signal
import sys

from tests.postgres.server import Server
from treadle.cli.app import app


def main() -> None:
    """Run the demo with the arguments of this program."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # ends cleanly
    try:
        with Server() as server:
            store = f"{server.url}&schema=demo"
            app(["demo", "--no-keep", "--store", store, *sys.argv[1:]], prog_name="treadle")
    finally:
        print(
            "The server was started for the demo. It has been removed, with its store.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
