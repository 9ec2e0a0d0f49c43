"""History and checkpoints of Microsoft's Agent Framework in a store.

`TreadleHistoryProvider` keeps the messages of an agent's sessions, each in a thread, and
`TreadleCheckpointStorage` the checkpoints of workflows::

    async with treadle.open_store("sqlite:///agents.db") as store:
        agent = Agent(client, context_providers=[TreadleHistoryProvider(store)])
        storage = TreadleCheckpointStorage(store)
        builder = WorkflowBuilder(name="w", start_executor=first, checkpoint_storage=storage)
"""

import base64
import pickle
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, cast, get_args

import msgspec

import treadle
from treadle import (
    AlreadyExists,
    Batch,
    CorruptRecord,
    InvalidValue,
    Json,
    NotFound,
    Store,
    VersionConflict,
)
from treadle.core.codec import check_json
from treadle.integrations._document_pages import NOBODY
from treadle.integrations._ids import joined_id
from treadle.integrations._last_messages import load_last_messages
from treadle.integrations._open_stores import awaited_store
from treadle.integrations._ordered import OrderedDocuments, rank_of
from treadle.integrations._owners import lacks_owner
from treadle.integrations._requirements import requires
from treadle.integrations._tool_messages import (
    Result,
    arguments_of,
    as_messages,
    is_whole,
    text_of,
)
from treadle.integrations._values import plain

with requires("treadle[agent-framework]"):
    from agent_framework import HistoryProvider, Message, WorkflowCheckpoint
    from agent_framework import WorkflowCheckpointException as CheckpointError
    from agent_framework._sessions import filter_new_messages
    from agent_framework._workflows._checkpoint_encoding import (
        decode_checkpoint_value,
        encode_checkpoint_value,
    )

__all__ = ["TreadleCheckpointStorage", "TreadleHistoryProvider"]

_EXTRA = "agent_framework"
"""The key in a message's `extra` for what a message of Treadle has no field for."""
_ROLES = frozenset(get_args(treadle.Role))


class TreadleHistoryProvider(HistoryProvider):
    """A history provider that keeps the messages of a session in a thread.

    Messages that the thread has already, because a caller passes the whole conversation again, are
    not added again. Two runs of one session at the same time lose nothing: the later one appends
    after the other.

    Args:
        store: an open store; it stays open.
        source_id: the name of this provider in an agent.
        load_messages: whether a run gets the messages of earlier ones.
        store_inputs: whether the messages to the agent are kept.
        store_context_messages: whether messages of other providers are kept.
        store_context_from: only those of these providers; None: of all.
        store_outputs: whether the agent's answers are kept.
        skip_excluded: whether messages that a compaction has excluded are left out when the history
            is loaded.
        prefix: begins the ids of the threads. Providers with the same one share the history of a
            session; one that keeps other messages of it, such as for an audit, needs its own.
        resource_id: the owner of the threads, or a function that returns it for the id of a
            session. A thread without an owner gets it with the next messages; messages for a thread
            of another owner raise `InvalidValue`, as does loading them.
        step: a batch of the store, such as that of a worker's delivery, which gets the messages; it
            fails with `VersionConflict` if somebody else appends to the thread before it commits.
            None: each run's messages are a commit.
    """

    def __init__(  # noqa: PLR0913
        self,
        store: Store,
        source_id: str = "treadle",
        *,
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
        skip_excluded: bool = False,
        prefix: str = "agent-framework",
        resource_id: str | Callable[[str], str | None] | None = None,
        step: Batch | None = None,
    ) -> None:
        super().__init__(
            source_id,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self._store = awaited_store(store)
        self._skip_excluded = skip_excluded
        self._prefix = prefix
        self._owner = resource_id
        self._step = step
        self._added: dict[str, list[list[treadle.Message]]] = {}
        """What each append to a thread has added to `step`."""

    def thread_id(self, session_id: str | None) -> str:
        """Return the id of the thread that has the messages of a session."""
        return joined_id(self._prefix, session_id or "")

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """Load the messages of a session, oldest first; a new session has none."""
        thread_id = self.thread_id(session_id)
        await lacks_owner(self._store, self._thread(session_id))
        head = await self._store.threads.load(thread_id)
        stored = () if head is None else head.thread.messages
        found = _read_all(chain(stored, *self._added.get(thread_id, [])), thread_id)
        if not self._skip_excluded:
            return found
        return [each for each in found if not each.additional_properties.get("_excluded", False)]

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append the messages that a session does not have yet, all or none."""
        if not messages:
            return
        thread = self._thread(session_id)
        if self._step is not None:
            return await self._add(self._step, thread, messages)
        while True:
            try:
                async with self._store.batch() as step:
                    await self._add(step, thread, messages)
            except VersionConflict:
                continue  # what is new depends on what another run has added
            return None

    async def _add(self, step: Batch, thread: treadle.Thread, messages: Sequence[Message]) -> None:
        """Append in a batch what a thread lacks, if nobody appends to it meanwhile."""
        gets_owner = await lacks_owner(self._store, thread)
        version, last = await load_last_messages(
            self._store, thread.id, len(messages), is_whole=_is_whole
        )
        before = self._added.get(thread.id, [])
        known = _read_all([each for _, each in last] + list(chain(*before)), thread.id)
        new = filter_new_messages(known, messages)
        added = [shown for each in new for shown in _written(each)]
        if not added:
            return
        step.threads.ensure(thread)
        if gets_owner:
            step.threads.update(thread.id, resource_id=thread.resource_id)
        step.threads.append(thread.id, *added, expected=version + len(before))
        if self._step is not None:
            self._added[thread.id] = [*before, added]

    def _thread(self, session_id: str | None) -> treadle.Thread:
        owner = self._owner(session_id or "") if callable(self._owner) else self._owner
        return treadle.Thread(id=self.thread_id(session_id), resource_id=owner)


class TreadleCheckpointStorage:
    """A checkpoint storage (`CheckpointStorage`) that keeps checkpoints of workflows in documents.

    Values that JSON does not have are pickled, as in the framework's own storages, and those that
    a store does not keep, such as infinity. When they are loaded, only the framework's types and
    those that you allow are made. A checkpoint with others is not saved: the framework logs it,
    and the workflow can go on from the last one that was.

    Args:
        store: an open store; it stays open.
        allowed_checkpoint_types: further types, as "module:qualname".
        collection: the collection of the documents.
    """

    def __init__(
        self,
        store: Store,
        *,
        allowed_checkpoint_types: Iterable[str] = (),
        collection: str = "agent-framework",
    ) -> None:
        self._store = awaited_store(store)
        self._allowed = frozenset(allowed_checkpoint_types)
        self._collection = collection

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Store a checkpoint, in place of one with the same id; return its id.

        Raises:
            WorkflowCheckpointException: it has a type that is not allowed, or cannot be pickled.
            InvalidValue: it is nested too deep for a store.
        """
        id = checkpoint.checkpoint_id
        rank = rank_of(datetime.fromisoformat(checkpoint.timestamp))
        value = self._encoded(checkpoint)
        documents = self._of(checkpoint.workflow_name)
        try:
            async with self._store.batch() as step:
                documents.create(step, id, rank, value)
        except AlreadyExists:
            await documents.save(id, rank, value)
        return id

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """Load a checkpoint.

        Raises:
            WorkflowCheckpointException: there is none, or it has a type that is not allowed.
        """
        try:
            return self._decoded(await self._of("").load(checkpoint_id))
        except NotFound as error:
            raise CheckpointError(f"No checkpoint found with ID {checkpoint_id}") from error

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """Load all checkpoints of a workflow, oldest first.

        Raises:
            WorkflowCheckpointException: one has a type that is not allowed.
        """
        found = await self._of(workflow_name).every()
        return [self._decoded(value) for _, value in found]

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """List the ids of the checkpoints of a workflow, oldest first."""
        return await self._of(workflow_name).ids()

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """Load the newest checkpoint of a workflow; None if it has none."""
        page = await self._of(workflow_name).page(after=None, limit=1, order="desc")
        return self._decoded(page.items[0][1]) if page.items else None

    async def delete(self, checkpoint_id: str) -> bool:
        """Delete a checkpoint; return whether there was one."""
        return await self._of("").delete(checkpoint_id)

    def _of(self, workflow_name: str) -> OrderedDocuments:
        """Return the documents of a workflow, whose ids are unique among all workflows."""
        return OrderedDocuments(
            self._store,
            self._collection,
            values=(NOBODY, "checkpoints"),
            order=(NOBODY, "checkpoints by time", workflow_name),
        )

    def _encoded(self, checkpoint: WorkflowCheckpoint) -> Json:
        try:
            value = _storable(plain(encode_checkpoint_value(checkpoint.to_dict())))
            decode_checkpoint_value(value, allowed_types=self._allowed)
        except Exception as error:  # of whatever class the application has given us
            id = checkpoint.checkpoint_id
            reason = f"checkpoint {id!r} is not saved, as it could not be loaded: {error}"
            raise CheckpointError(reason) from error
        return value

    def _decoded(self, value: Json) -> WorkflowCheckpoint:
        return WorkflowCheckpoint.from_dict(
            decode_checkpoint_value(value, allowed_types=self._allowed)
        )


def _storable(value: Any) -> Json:
    """Return an encoded checkpoint with values of JSON pickled that a store does not keep.

    The framework's encoder pickles only what JSON does not have; its decoder makes these again,
    too.
    """
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    try:
        check_json(value, "value")
    except InvalidValue:
        return _pickled(value)
    return value


def _pickled(value: object) -> Json:
    data = base64.b64encode(pickle.dumps(value)).decode()
    return {"__pickled__": data, "__type__": f"builtins:{type(value).__name__}"}


def _written(message: Message) -> list[treadle.Message]:
    """Return the messages of a thread: one, or more if it has the results of several tools.

    Calls of tools are those of the message, and a result is a message of the tool; the contents as
    they were are in `extra` then.

    Messages have no ids: the store would skip a message with the id of another, changed or not.
    """
    fields = msgspec.to_builtins(message.to_dict(), str_keys=True)
    contents = fields.pop("contents", [])
    role = cast("treadle.Role", message.role if message.role in _ROLES else "assistant")
    calls = [call for call in map(_call_in, contents) if call is not None]
    results = [result for result in map(_result_in, contents) if result is not None]
    if not (calls or results):
        return [treadle.Message(role=role, content=_as_text(contents), extra={_EXTRA: fields})]
    others = [each for each in contents if _call_in(each) is None and _result_in(each) is None]
    said = _as_text(others) if others else ""
    return as_messages(role, said, calls, results, (_EXTRA, {**fields, "contents": contents}))


def _call_in(content: Any) -> treadle.ToolCall | None:
    match content:
        case {"type": "function_call", "call_id": str(id), "name": str(name), **rest}:
            arguments = arguments_of(rest.get("arguments"))
            return treadle.ToolCall(id=id, name=name, arguments=arguments)
        case _:
            return None


def _result_in(content: Any) -> Result | None:
    match content:
        case {"type": "function_result", "call_id": str(id), **rest}:
            return Result(id, text_of(rest.get("result")))
        case _:
            return None


def _is_whole(message: treadle.Message) -> bool:
    return is_whole(message, _EXTRA)


def _read_all(messages: Iterable[treadle.Message], thread_id: str) -> list[Message]:
    return [_read(message, thread_id) for message in messages if _is_whole(message)]


def _read(message: treadle.Message, thread_id: str) -> Message:
    fields = message.extra.get(_EXTRA) or {"role": message.role, "message_id": message.id}
    try:
        return Message.from_dict({"contents": _as_contents(message.content), **fields})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        where = f"a message of thread {thread_id!r}"
        reason = f"it is not a message of Agent Framework: {error!r}"
        raise CorruptRecord(where, reason, "find out which program wrote it") from error


def _as_text(contents: list[Json]) -> str | list[Json]:
    """Return the text of contents that are one text, so that others can read it."""
    if len(contents) == 1 and contents == _as_contents(contents[0].get("text")):
        return str(contents[0]["text"])
    return contents


def _as_contents(content: str | list[Json]) -> list[Json]:
    if not isinstance(content, str):
        return content
    return [{"type": "text", "text": content, "additional_properties": {}}]
