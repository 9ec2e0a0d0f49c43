"""All errors of Treadle, in one tree under `TreadleError`.

Each error says what happened, to what, and what to do, and carries its data as attributes.
"""

from typing import Any


class TreadleError(Exception):
    """The base class of all errors that Treadle raises on purpose."""

    command: str | None = None
    """The command of a batch that failed, such as `command 3 of 5: Ack 'e1'`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(
    kind: type[TreadleError], args: tuple[Any, ...], state: dict[str, Any]
) -> TreadleError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidId(TreadleError, ValueError):
    """An id breaks the rules of `treadle.core.ids`; nothing was written."""

    def __init__(self, kind: str, value: object, reason: str) -> None:
        super().__init__(f"invalid {kind} id {shorten(value)}: {reason}")
        self.kind = kind
        self.value = value
        self.reason = reason


class InvalidValue(TreadleError, ValueError):
    """A value cannot be stored; `where` is its path (`send.priority`). Nothing was written."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"invalid value at {where}: {reason}")
        self.where = where
        self.reason = reason


class PatchError(InvalidValue):
    """A patch does not fit the state it is applied to; the message is tirea's.

    Or the patches take too much work: see `treadle.patches.apply_patches`. If they are stored in a
    thread, the state cannot be read until a change set with a `snapshot` replaces the state and its
    patches.
    """

    def __init__(self, where: str, message: str) -> None:
        super().__init__(where, message)
        self.args = (message,)


class NotFound(TreadleError, LookupError):
    """There is no such thread, run, mailbox entry or document; `kind` says which."""

    def __init__(self, kind: str, key: str) -> None:
        advice = "check the id, or create it first" if kind == "thread" else "check the id"
        super().__init__(f"{kind} {shorten(key)} does not exist; {advice}")
        self.kind = kind
        self.key = key


class AlreadyExists(TreadleError):
    """The id, or the mailbox's dedupe key, is taken; `kind` says which."""

    def __init__(self, kind: str, key: str, advice: str = "use another id, or load it") -> None:
        super().__init__(f"{kind} {shorten(key)} already exists; {advice}")
        self.kind = kind
        self.key = key


class VersionConflict(TreadleError):
    """The thread or document changed since you read it: it is at `actual`, not at `expected`.

    `kind` says which of the two it is. A version of 0 means that there is no such document.
    """

    def __init__(self, kind: str, key: object, expected: int, actual: int) -> None:
        super().__init__(
            f"{kind} {shorten(key)} is at version {actual}, not {expected}; "
            "load it again, decide again, and write with its new version"
        )
        self.kind = kind
        self.key = key
        self.expected = expected
        self.actual = actual


class GenerationMismatch(TreadleError):
    """The mailbox is at another generation: an interrupt came in between.

    `expected` is the generation of the mailbox, `actual` that of the entry to enqueue, or the one
    that an interrupt expected.
    """

    def __init__(
        self,
        mailbox_id: str,
        expected: int,
        actual: int,
        advice: str = "load its state and enqueue with the current generation, or use send",
    ) -> None:
        super().__init__(
            f"mailbox {shorten(mailbox_id)} is at generation {expected}, not {actual}; {advice}"
        )
        self.mailbox_id = mailbox_id
        self.expected = expected
        self.actual = actual


class RunConflict(TreadleError):
    """The run does not wait, so it cannot be answered; nothing of the batch was written.

    `status` is its status now, and `termination_code` says why it has ended, if it has. The status
    is "waiting" if the run waits, but was to go on with an entry that has ended.
    """

    def __init__(
        self,
        run_id: str,
        status: str,
        termination_code: str | None = None,
        *,
        cannot_go_on: str | None = None,
    ) -> None:
        end = "" if termination_code is None else f" ({shorten(termination_code)})"
        reason = (
            f"does not wait: it is {status}{end}; it was answered, or closed by a cancel or an "
            "interrupt, so leave it"
            if cannot_go_on is None
            else f"cannot go on: {cannot_go_on}"
        )
        super().__init__(f"run {shorten(run_id)} {reason}")
        self.run_id = run_id
        self.status = status
        self.termination_code = termination_code


class NotWaiting(TreadleError):
    """No run of the thread waits for this answer; nothing was written."""

    def __init__(self, thread_id: str, interrupt_id: str) -> None:
        super().__init__(
            f"no run of thread {shorten(thread_id)} waits for an answer to "
            f"{shorten(interrupt_id)}: it was answered, its run was closed, or no run asked it; "
            "read the thread again"
        )
        self.thread_id = thread_id
        self.interrupt_id = interrupt_id


class ClaimConflict(TreadleError):
    """The claim is not yours, or no longer yours; nothing of the batch was written."""

    def __init__(self, entry_id: str, reason: str) -> None:
        super().__init__(
            f"the claim on entry {shorten(entry_id)} is not held: {reason}; "
            "stop working on it: another worker has settled it, or will"
        )
        self.entry_id = entry_id
        self.reason = reason


class CorruptRecord(TreadleError):
    """A stored record, or the input of `decode`, cannot be read; other records are not affected."""

    def __init__(
        self, where: str, reason: str, advice: str = "run `treadle doctor` on the store"
    ) -> None:
        super().__init__(f"{where} cannot be read: {reason}; {advice}")
        self.where = where
        self.reason = reason


class StoreClosed(TreadleError):
    """The store was used before it was opened, or after it was closed."""

    def __init__(self, advice: str = "open it with `async with treadle.open_store(...)`") -> None:
        super().__init__(f"the store is closed; {advice}")


class StoreUnavailable(TreadleError):
    """The disk or the database refused; the driver's error is the `__cause__`."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"the store at {where} is not available: {reason}")
        self.where = where
        self.reason = reason


class ReadOnlyStore(TreadleError):
    """A store that was opened with `read_only=True` was to be written to; nothing was written."""

    def __init__(self, where: str) -> None:
        super().__init__(f"the store at {where} is open to read only; open it without read_only")
        self.where = where


class SchemaTooNew(TreadleError):
    """A newer Treadle wrote the store, in a format that this one does not know."""

    def __init__(self, where: str, found: int, supported: int) -> None:
        super().__init__(
            f"the store at {where} has format {found}, this Treadle knows up to {supported}; "
            "upgrade Treadle to open it"
        )
        self.where = where
        self.found = found
        self.supported = supported


class SchemaTooOld(TreadleError):
    """The database's schema is old, and the store was opened without `migrate=True`."""

    def __init__(self, where: str, missing: str) -> None:
        super().__init__(
            f"the store at {where} lacks migration {missing}; run `treadle migrate` on it, "
            "or open it with migrate=True"
        )
        self.where = where
        self.missing = missing


_LONGEST = 80
"""How many characters of a caller's value a message has at most."""


def shorten(value: object) -> str:
    """Return `repr(value)`, cut to 80 characters, for messages about a caller's value."""
    if isinstance(value, str):
        value = value[:_LONGEST]  # it may have megabytes, and `repr` copies them
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, too deep a nesting
        text = f"<{type(value).__name__} too large to show>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
