"""What the processes of the suite have in common, loaded and used once before they are forked.

A process that dies at a step of its write lives for a few milliseconds. It would need five times as
long if it imported the backends itself, and inspected the fields of the commands that it uses.
"""

# pyright: reportUnusedImport=false
# To import a module is what this one is for.

import gc
from contextlib import suppress

import treadle.testing._harness.child_process
import treadle.testing._harness.follower_processes
import treadle.testing._harness.writer_processes
import treadle.testing.builtin_subjects
from treadle.testing.conformance.commit.crashes import WRITES, model_states
from treadle.testing.conformance.concurrency.races import RACES, possible_ends

with suppress(ImportError):  # where psycopg is missing
    import treadle.backends.postgres.backend  # noqa: F401

with suppress(Exception):  # the checks say what is wrong with the model
    for _write in WRITES.values():
        model_states(_write)
    for _one, _other in RACES.values():
        possible_ends(_one, _other)

# A collection in a process would write to all that it shares with the others, and copy it.
gc.freeze()
