"""The command `treadle`; what it needs beyond the library is the extra `treadle[cli]`."""

import importlib
import sys

_NEEDED = frozenset({"click", "rich"})


def main() -> None:
    """Run the command with the process's arguments, and exit with its status."""
    try:
        importlib.import_module("rich")
        from treadle.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        message = (
            f"treadle: the command needs {error.name}; install it with: pip install 'treadle[cli]'"
        )
        print(message, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # all else is for the group to handle
        raise SystemExit(130) from None
    app.main(prog_name="treadle")
