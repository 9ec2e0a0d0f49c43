"""Commands: everything that can be written, as values. A batch of them commits as one.

Each command is defined beside the model that it changes, such as in `thread_commands` or `claims`.
"""

from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar

from treadle.core.codec import Model, checked
from treadle.core.ids import check_ids, first_id
from treadle.core.limits import Time
from treadle.core.read_set import ReadSet
from treadle.errors import InvalidValue, TreadleError

ResultT = TypeVar("ResultT")


class Command(Model, Generic[ResultT], frozen=True, kw_only=True):
    """One write, and the rule for it: which rows it touches, and what it does to them."""

    def touches(self, read_set: ReadSet) -> None:
        """Add the rows that `apply` reads to `read_set`."""
        raise NotImplementedError

    def apply(self, rows: Any, now: int) -> ResultT:
        """Change `rows` and return the result; raise an error if the rule forbids it.

        A command names the rows that it needs in its signature, such as
        `treadle.core.mailboxes.MailboxRows`. It reads only rows that `touches` has added. If it
        raises an error, the caller undoes what it has changed.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Refuse values that have the right type and cannot be stored.

        Raises:
            InvalidValue: a value cannot be stored; the message says where.
        """


class TimedCommand(Command[ResultT], Generic[ResultT], frozen=True, kw_only=True):
    """A command that happens at `now` (unix milliseconds); None is the backend's clock."""

    now: Time | None = None


AnyCommand: TypeAlias = Command[Any]
"""Any command, whatever its result."""

Commands: TypeAlias = tuple[AnyCommand, ...]
"""A batch: writes that take effect together, or not at all."""


class Checked(tuple[AnyCommand, ...]):
    """A batch that needs no check, because all its values were read from the store.

    Or they were made for this batch, checked in another way, and nobody changes them afterwards.
    """

    __slots__ = ()


class Receipt(Model, frozen=True, kw_only=True):
    """A batch was committed; `results` has the result of each of its commands, in their order."""

    results: tuple[Any, ...]


def check_batch(batch: Commands) -> Commands:
    """Return the batch, checked; it shares nothing with values that the caller may change.

    Raises:
        InvalidId, InvalidValue: a command cannot be stored; the message says which and where.
    """
    if type(batch) is Checked:
        return tuple(batch)
    if not isinstance(batch, tuple | list):
        raise InvalidValue("batch", f"it must be a tuple of commands, not a {type(batch).__name__}")
    commands: list[AnyCommand] = []
    for position, command in enumerate(batch, start=1):
        try:
            commands.append(check_command(command))
        except TreadleError as error:
            name_failure(error, position, len(batch), type(command).__name__)
            raise
    return tuple(commands)


def check_command(command: AnyCommand) -> AnyCommand:
    """Return the command, checked and copied.

    Raises:
        InvalidId, InvalidValue: it cannot be stored; the message says where.
    """
    name = _own_name_of(type(command))
    if name is None:
        raise InvalidValue("batch", f"it must hold commands, not a {type(command).__name__}")
    check_ids(command)
    command = checked(command, name)
    command.check()
    return command


def name_of(kind: type) -> str:
    """Return what errors call a command of a kind, such as `appendThread`."""
    return kind.__name__[0].lower() + kind.__name__[1:]


@cache
def _own_name_of(kind: type) -> str | None:
    """Return the same for a command of Treadle's; None for any other type.

    A backend trusts `touches` and `apply`, so a command of somebody else's could harm the other
    batches of its group. Those defined in this module are abstract.
    """
    module = kind.__module__
    if (
        not issubclass(kind, Command)
        or not module.startswith("treadle.core.")
        or module == __name__
    ):
        return None
    return name_of(kind)


def name_failure(error: TreadleError, position: int, count: int, command: str) -> None:
    """Say in the error which command of a batch it comes from, counted from 1."""
    error.command = f"command {position} of {count}: {command}"
    if count > 1:
        error.add_note(f"nothing of the batch was written; failed at {error.command}")


def describe(command: AnyCommand) -> str:
    """The command in a few words, for errors: `Ack 'entry-1'`."""
    name, subject = type(command).__name__, first_id(command)
    return name if subject is None else f"{name} {subject!r}"
