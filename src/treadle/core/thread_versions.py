"""Threads as they were: their messages and their state at a version, or at a number of messages."""

from collections.abc import Sequence
from itertools import chain

import msgspec

from treadle.core.message_times import timed, trimmed
from treadle.core.threads import Step, Thread, ThreadHead


def as_of(head: ThreadHead, steps: Sequence[Step], version: int) -> ThreadHead | None:
    """The thread as it was at a version, with its present labels; None if that is not known.

    Args:
        head: the thread as it is.
        steps: the last steps that led to it, oldest first.
        version: the version that is asked for.
    """
    behind = head.version - version
    if not 0 <= behind <= len(steps):
        return None
    thread = _with_state(head.thread, steps, behind)
    if thread is None:
        return None
    messages = list(timed(head.thread.messages, head.message_times))
    for step in reversed(steps[len(steps) - behind :]):
        del messages[step.kept :]
        messages += step.removed
    thread = msgspec.structs.replace(thread, messages=tuple(each.message for each in messages))
    times = trimmed([each.committed_at for each in messages])
    return ThreadHead(thread=thread, version=version, message_times=times)


def with_state_at(thread: Thread, steps: Sequence[Step], position: int) -> Thread | None:
    """The thread with the state that it had when it last had so many messages.

    None if the steps do not go back so far, or if one that changed the state has added messages on
    both sides of that position.
    """
    count = len(thread.messages)
    for behind, step in enumerate(reversed(steps)):
        if count == position or (step.kept < position and not _changes_state(step)):
            return _with_state(thread, steps, behind)
        if step.kept < position:
            return None
        count = step.kept + len(step.removed)
    return _with_state(thread, steps, len(steps)) if count == position else None


def _with_state(thread: Thread, steps: Sequence[Step], behind: int) -> Thread | None:
    """The thread with the state that it had so many steps ago, or None."""
    earlier, later = steps[: len(steps) - behind], steps[len(steps) - behind :]
    if all(step.changes.snapshot is None for step in later):
        kept = len(thread.patches) - sum(len(step.changes.patches) for step in later)
        if kept < 0:  # another program has folded them
            return None
        return msgspec.structs.replace(thread, patches=thread.patches[:kept])
    # A later snapshot has replaced that state. The last one before says with what it began.
    snapshots = [at for at, step in enumerate(earlier) if step.changes.snapshot is not None]
    if not snapshots:
        return None
    since = earlier[snapshots[-1] :]
    patches = tuple(chain.from_iterable(step.changes.patches for step in since))
    return msgspec.structs.replace(thread, state=since[0].changes.snapshot, patches=patches)


def _changes_state(step: Step) -> bool:
    return bool(step.changes.patches) or step.changes.snapshot is not None
