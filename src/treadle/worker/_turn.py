"""A turn: the run that a client has asked for over HTTP, as its handler sees it."""

from collections.abc import Sequence

import msgspec

from treadle.core.codec import Json, to_plain
from treadle.core.messages import Message, MessageMetadata
from treadle.core.patches import TrackedPatch
from treadle.core.runs import RunMeta, RunStatus
from treadle.core.threads import ThreadChangeSet
from treadle.store.live import LiveMessage
from treadle.worker._delivery import Delivery
from treadle.worker._run_request import Interrupt, RunRequest


class Turn:
    """The run that the entry of a delivery asks for, which its client follows as it is made.

    The client gets the messages and the state that are appended to the thread, and before that the
    pieces of `message`. Its stream ends when the entry does.

    Raises:
        InvalidValue: the entry asks for no run.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.request = RunRequest.of(delivery.entry)
        """What was asked for."""

    def message(self) -> LiveMessage:
        """Begin a message that is shown while it is written, with a new id."""
        request = self.request
        new = Message.assistant("")
        live = self._delivery.store.live
        return live.message(request.thread_id, new.id or "", run_id=request.run_id)

    def changes(
        self,
        *messages: Message,
        status: RunStatus = "running",
        interrupts: Sequence[Interrupt] = (),
        patches: Sequence[TrackedPatch] = (),
        state: Json = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> ThreadChangeSet:
        """Return the changes of the thread, with the run's record, to be appended in a batch.

        Args:
            messages: what was said; they get the id of the run.
            status: "done" with the last changes. "waiting" if the run needs an answer: then the
                client's next run brings it, as `RunRequest.resume`.
            interrupts: what a waiting run needs.
            patches: changes of the state.
            state: a new state, instead of the old one; None keeps it.
            input_tokens: all tokens that the run has read so far.
            output_tokens: all tokens that it has written.
        """
        request = self.request
        meta = RunMeta(
            agent_id=request.agent_id,
            origin=request.origin,
            status=status,
            parent_thread_id=request.parent_thread_id,
            source_mailbox_entry_id=self._delivery.entry.entry_id,
            metadata={"interrupts": [to_plain(each) for each in interrupts]}
            if interrupts
            else None,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        return ThreadChangeSet(
            run_id=request.run_id,
            parent_run_id=request.parent_run_id,
            run_meta=meta,
            reason="RunFinished" if status == "done" else "AssistantTurnCommitted",
            messages=[self._of_run(message) for message in messages],
            patches=patches,
            snapshot=state,
        )

    def _of_run(self, message: Message) -> Message:
        metadata = message.metadata or MessageMetadata()
        metadata = msgspec.structs.replace(metadata, run_id=self.request.run_id)
        return msgspec.structs.replace(message, metadata=metadata)
