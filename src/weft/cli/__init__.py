"""The command `weft`; what it needs beyond the library is the extra `weft[cli]`."""

import importlib
import sys

_NEEDED = frozenset({"click", "rich"})


def main() -> None:
    """Run the command with the process's arguments, and exit with its status."""
    try:
        importlib.import_module("rich")
        from weft.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        message = f"weft: the command needs {error.name}; install it with: pip install 'weft[cli]'"
        print(message, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # all else is for the group to handle
        raise SystemExit(130) from None
    app.main(prog_name="weft")
