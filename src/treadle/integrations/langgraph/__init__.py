"""LangGraph: a checkpointer, and a store for long-term memory. It needs `treadle[langgraph]`."""

from treadle.integrations._requirements import requires

with requires("treadle[langgraph]"):
    from treadle.integrations.langgraph._importing import import_checkpoints
    from treadle.integrations.langgraph._saver import TreadleSaver
    from treadle.integrations.langgraph._store import TreadleStore
    from treadle.integrations.langgraph._writing import StaleWriteOwner

__all__ = ["StaleWriteOwner", "TreadleSaver", "TreadleStore", "import_checkpoints"]
