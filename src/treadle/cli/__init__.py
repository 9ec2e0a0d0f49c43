"""The command `treadle`; its own dependencies are the extra `treadle[cli]`."""

import sys
from importlib.util import find_spec

_NEEDED = ("click", "rich")


def main() -> None:
    """Run the command with the arguments of the process, and exit with its status."""
    for name in _NEEDED:
        if find_spec(name) is None:  # `rich` is imported late, so this must not wait for the import
            message = (
                f"treadle: the command needs {name}; in Treadle's folder, run: pip install '.[cli]'"
            )
            print(message, file=sys.stderr)
            raise SystemExit(1)
    try:
        from treadle.cli.app import app
        from treadle.cli.terminal.standard_files import reopen_closed
    except KeyboardInterrupt:  # from here on, the group handles it
        raise SystemExit(130) from None
    reopen_closed()
    app.main(prog_name="treadle")
