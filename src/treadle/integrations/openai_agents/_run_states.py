"""Runs that wait for a human, as documents."""

from typing import Any, TypeVar

from agents import Agent, RunState

from treadle import Batch, Document, Store, Stored, Write
from treadle.errors import CorruptRecord
from treadle.integrations._open_stores import awaited_store
from treadle.store.documents import AnyKey

RUN_STATES = "openai-run-states"
"""The collection of the documents."""

ContextT = TypeVar("ContextT")


def put_run_state(
    writes: Store | Batch,
    key: AnyKey,
    state: RunState[Any, Any],
    *,
    expected: int | None = None,
    **options: Any,
) -> Write[Stored]:
    """Keep the state of a run in a document, for example until somebody approves a tool call.

    Awaited on a store, collected in a batch: `put_run_state(step, key, result.to_state())`.

    Args:
        writes: the store, or a batch, such as that of `delivery.pause()`.
        key: the key of the document in the collection `openai-run-states`.
        state: the run.
        expected: the version that the document must have; 0: it must not exist.
        options: what `RunState.to_json` takes further, such as `context_serializer`, for a context
            that is no mapping.

    Raises:
        VersionConflict: the document is not at version `expected`.
        InvalidValue: the state cannot be stored; the message says where.
    """
    return writes.documents.put(RUN_STATES, key, state.to_json(**options), expected=expected)


async def load_run_state(
    store: Store, key: AnyKey, agent: Agent[Any], **options: Any
) -> RunState[Any, Any] | None:
    """Load a run that `put_run_state` has kept; None if there is none.

    It stays there: to go on with it, use `take_run_state`, or the run can go on a second time.

    Args:
        store: the store.
        key: the key of the document.
        agent: the agent that began the run.
        options: what `RunState.from_json` takes further, such as `context_override`.

    Raises:
        CorruptRecord: the document holds no run, or one of an SDK that this one cannot read.
    """
    document = await awaited_store(store).documents.load(RUN_STATES, key)
    return None if document is None else await _read(document, agent, options)


async def take_run_state(
    step: Batch, store: Store, key: AnyKey, agent: Agent[Any], **options: Any
) -> RunState[Any, Any] | None:
    """Load a run that `put_run_state` has kept, and delete it in a batch; None if there is none.

    The run goes on in the block of the batch, and its items belong to the batch, too: of several
    batches that take a run, one commits. If the run waits again, `put_run_state(step, …)` keeps it
    under the same key.

    What tools do outside of the store is not part of the batch. So take runs in a worker, which
    works on one entry of a mailbox at a time.

    Args:
        step: the batch, such as that of `delivery.batch()`.
        store: the store of the batch.
        key: the key of the document.
        agent: the agent that began the run.
        options: as for `load_run_state`.

    Raises:
        CorruptRecord: as for `load_run_state`; the document stays.
        VersionConflict: at the end of the block: another batch has taken the run, or somebody has
            kept another one under the key.
    """
    document = await awaited_store(store).documents.load(RUN_STATES, key)
    if document is None:
        return None
    state = await _read(document, agent, options)
    step.documents.delete(RUN_STATES, key, expected=document.version)
    return state


async def _read(
    document: Document, agent: Agent[Any], options: dict[str, Any]
) -> RunState[Any, Any]:
    try:
        return await RunState.from_json(agent, document.value, **options)
    except Exception as error:
        raise CorruptRecord(f"the run state {document.key!r}", str(error)) from error
