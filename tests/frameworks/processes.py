"""Run the same program in several processes at a time."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_together(module: str, *arguments: str, count: int = 4, timeout: float = 240) -> list[str]:
    """Run `python -m module arguments… NUMBER` in each of several processes, to their ends.

    All begin at about the same time. The working folder is the repository's, so that `module` may
    be one of the tests, such as "tests.frameworks.langgraph.increment".

    Returns:
        What each of them wrote.
    """
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments, str(number)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs
