"""Exports of ChatGPT and Claude: what they give their users as `conversations.json`.

`import_chatgpt` and `import_claude` read such a file, or the zip archive with it, one conversation
at a time. A conversation becomes a thread with its id:

- The branch that the program shows is the thread. Each other one (a regenerated answer, an edited
  question) is a thread of its own below it, with the id of the thread and that of the first message
  that is only in it. A newer export adds its new messages. If it shows another branch, the thread
  follows, and the messages that it had are those of another thread.
- What Treadle has a name for becomes that: roles, texts, calls of tools and their results,
  thinking, messages that the program hides (`visibility`), title and time of creation.
- All else is kept unchanged, in the `extra` of the thread and of each message, under
  "chatgpt_export" or "claude_export": times, models, weights, status, citations. Fields that are
  null are left out. The writers for models do not write these.
- Files are named, not imported: an export has them beside the conversations, or not at all.
"""

from collections.abc import AsyncGenerator, Iterator

from treadle.errors import InvalidValue
from treadle.integrations._values import CHAT_DEPTH, as_object
from treadle.integrations.chat_exports._chatgpt import CHATGPT
from treadle.integrations.chat_exports._claude import CLAUDE
from treadle.integrations.chat_exports._conversations import Program
from treadle.integrations.chat_exports._sources import (
    CONVERSATION_BYTES,
    EXPORT_BYTES,
    Found,
    read_export,
)
from treadle.integrations.chat_exports._writing import BRANCHES_BYTES, write_conversation
from treadle.integrations.importing import Imported, Written, import_each
from treadle.integrations.strict_json import read_json
from treadle.store.store import Store

__all__ = [
    "BRANCHES_BYTES",
    "CONVERSATION_BYTES",
    "EXPORT_BYTES",
    "import_chatgpt",
    "import_claude",
]


def import_chatgpt(
    store: Store, source: str, *, resource_id: str | None = None
) -> AsyncGenerator[Imported]:
    """Import the conversations of an export of ChatGPT.

    Args:
        store: an open store.
        source: the zip archive, or a `conversations.json` that was in it.
        resource_id: the owner of the threads. A thread without an owner gets it, too, and a
            conversation whose thread has another one fails.

    Raises:
        InvalidValue: the source is no such export.
    """
    return _import(CHATGPT, store, source, resource_id)


def import_claude(
    store: Store, source: str, *, resource_id: str | None = None
) -> AsyncGenerator[Imported]:
    """Import the conversations of an export of Claude; see `import_chatgpt`."""
    return _import(CLAUDE, store, source, resource_id)


async def _import(
    program: Program, store: Store, source: str, owner: str | None
) -> AsyncGenerator[Imported]:
    async def work(found: Found, written: Written) -> None:
        if isinstance(found.data, InvalidValue):
            raise found.data
        value = read_json(found.data, "conversation", CHAT_DEPTH)
        fields = as_object(value, "conversation")
        found.id = program.id_of(fields)
        conversation = program.read(fields)
        await write_conversation(store, program, conversation, written, owner=owner)

    exported = _of(program, read_export(source))
    async for imported in import_each(exported, lambda found: found.name, work):
        yield imported


def _of(program: Program, exported: Iterator[Found]) -> Iterator[Found]:
    """Yield the conversations, unless the first one shows that they are of another program."""
    for number, found in enumerate(exported):
        if number == 0 and isinstance(found.data, bytes):
            for other in (CHATGPT, CLAUDE):
                if other is not program and _has(found.data, other) > _has(found.data, program):
                    raise InvalidValue("source", f"it is an export of {other.name}")
        yield found


def _has(data: bytes, program: Program) -> bool:
    return f'"{program.messages}"'.encode() in data
