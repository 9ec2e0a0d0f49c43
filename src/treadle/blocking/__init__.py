"""The store in code without `async`: the same names, arguments and types, and no `await`.

`with treadle.blocking.open_store(url) as store:`. Any number of threads may use a store, beside a
running event loop too, as in a notebook. Its calls run in a thread of its own.
"""

# `_portal`, `_opening` and `_batch` are written by hand. `make twin` writes all others: they repeat
# the methods of `treadle.store` on purpose, and tests/blocking/test_twin.py compares them.

from treadle.blocking._batch import Batch
from treadle.blocking._documents import Documents
from treadle.blocking._mailboxes import Mailboxes
from treadle.blocking._runs import Runs
from treadle.blocking._store import Store, open_store
from treadle.blocking._threads import Threads

__all__ = ["Batch", "Documents", "Mailboxes", "Runs", "Store", "Threads", "open_store"]
