"""A plugin of pytest for a child process: count how many objects of a class are made.

`TREADLE_COUNTED` names the class, as "module:Class", and `TREADLE_COUNT` a file that gets a byte
for each object, from any process of xdist. It is not imported as part of the package `tests`: the
suite that the child runs may have one, too.
"""

import os
from importlib import import_module
from typing import Any


def pytest_configure() -> None:
    """Count the calls of the class's `__init__`."""
    module, _, name = os.environ["TREADLE_COUNTED"].partition(":")
    kind = getattr(import_module(module), name)
    initialize = kind.__init__

    def count(self: Any, *args: Any, **options: Any) -> None:
        initialize(self, *args, **options)
        with open(os.environ["TREADLE_COUNT"], "ab") as file:
            file.write(b".")

    kind.__init__ = count
