"""The model: tables that apply batches and claims by the core's rules, used by every backend."""

from treadle.backends.model.apply import apply_batch, apply_claim, read_set_of
from treadle.backends.model.tables import Change, Tables
from treadle.core.document_keys import row_key
from treadle.core.threads import History, StoredThread, all_history

__all__ = [
    "Change",
    "History",
    "StoredThread",
    "Tables",
    "all_history",
    "apply_batch",
    "apply_claim",
    "read_set_of",
    "row_key",
]
