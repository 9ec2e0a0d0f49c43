"""`python -m tests.postgres.older`: test plans and costs on PostgreSQL 16, as `make clients` does.

Planners differ: what one reads off an index, an older one may look for in a whole table.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from typing import Any

TESTS = ("test_plans.py", "test_costs.py", "test_flat_costs.py")


def main() -> int:
    """Run the tests on a new server, which is removed afterwards; return the status of pytest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the platform, which has no runtime folder
        import pgserver
    package: Any = pgserver
    with (
        tempfile.TemporaryDirectory(prefix="treadle-pg-") as folder,
        package.get_server(folder) as server,
    ):
        return subprocess.call(
            [sys.executable, "-m", "pytest", *(f"tests/postgres/{each}" for each in TESTS)],
            env=os.environ | {"TREADLE_TEST_POSTGRES": server.get_uri()},
        )


if __name__ == "__main__":
    sys.exit(main())
