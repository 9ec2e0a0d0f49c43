"""What happens in a run, in no protocol's words: AG-UI and the AI SDK encode it."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from treadle.core.codec import Json
from treadle.core.live import PartKind
from treadle.core.messages import Message
from treadle.worker import Interrupt


class Begun(msgspec.Struct, frozen=True):
    """The run was requested."""


class PartBegan(msgspec.Struct, frozen=True):
    """A part of a message begins."""

    message_id: str
    part: PartKind
    role: Literal["user", "assistant", "system"] = "assistant"
    call_id: str = ""
    tool_name: str = ""


class PartGrew(msgspec.Struct, frozen=True):
    """A part of a message goes on."""

    message_id: str
    part: PartKind
    delta: str
    call_id: str = ""


class PartEnded(msgspec.Struct, frozen=True):
    """A part of a message is complete."""

    message_id: str
    part: PartKind
    call_id: str = ""
    tool_name: str = ""
    arguments: Json = None
    """Of a tool call that is committed: its arguments."""
    is_complete: bool = True
    """Whether the message was committed."""


class ToolAnswered(msgspec.Struct, frozen=True):
    """A tool has given its result."""

    message: Message


class StateIs(msgspec.Struct, frozen=True):
    """The thread has this state now."""

    state: Json


class StateChanged(msgspec.Struct, frozen=True):
    """The thread has another state than the one that was shown last."""

    state: Json
    edits: Sequence[dict[str, Json]]
    """How it differs, in JSON Patch."""


class MessagesAre(msgspec.Struct, frozen=True):
    """The thread has these messages now, whatever was said before."""

    messages: Sequence[Message]


class Finished(msgspec.Struct, frozen=True):
    """The run has ended."""

    unanswered: tuple[str, ...] = ()
    """Tool calls that the client has to answer."""


class Interrupted(msgspec.Struct, frozen=True):
    """The run waits for a person."""

    interrupts: Sequence[Interrupt]


class Cancelled(msgspec.Struct, frozen=True):
    """The run was cancelled, or superseded by an interrupt of its mailbox."""


class Failed(msgspec.Struct, frozen=True):
    """The run has failed for good."""

    message: str
    code: str


class Broken(msgspec.Struct, frozen=True):
    """The events cannot be followed any further; the run is not concerned."""

    message: str
    code: str


RunEvent: TypeAlias = (
    Begun
    | PartBegan
    | PartGrew
    | PartEnded
    | ToolAnswered
    | StateIs
    | StateChanged
    | MessagesAre
    | Finished
    | Interrupted
    | Cancelled
    | Failed
    | Broken
)
