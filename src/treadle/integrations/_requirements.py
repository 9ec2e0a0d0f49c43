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
        raise ImportError(f"{error}; run: pip install '{package}'") from error
