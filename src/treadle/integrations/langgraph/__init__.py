"""LangGraph: a checkpointer, and a store for long-term memory. It needs `treadle[langgraph]`."""

try:
    import langgraph.checkpoint.base as _  # pyright: ignore[reportUnusedImport]  # noqa: F401
except ImportError as error:
    raise ImportError("LangGraph is not installed: pip install 'treadle[langgraph]'") from error

from treadle.integrations.langgraph._importing import import_checkpoints
from treadle.integrations.langgraph._saver import TreadleSaver
from treadle.integrations.langgraph._store import TreadleStore
from treadle.integrations.langgraph._writing import StaleWriteOwner

__all__ = ["StaleWriteOwner", "TreadleSaver", "TreadleStore", "import_checkpoints"]
