"""Packages that an integration needs and Treadle does not."""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def requires(package: str) -> Generator[None]:
    """Run imports; if one fails, say what to install.

    Args:
        package: the package as pip knows it, such as "treadle[chatkit]".

    Raises:
        ImportError: the package is missing, or is another version.
    """
    try:
        yield
    except ImportError as error:
        ours = package.removeprefix("treadle")
        advice = f"run: pip install '{package}'"
        if ours != package:
            advice = f"in Treadle's folder, run: pip install '.{ours}'"
        raise ImportError(f"{error}; {advice}") from error
