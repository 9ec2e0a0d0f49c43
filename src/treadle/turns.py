"""Turns: which messages of a thread belong to a run, and what a model reads of them.

from treadle.turns import messages_of, open_calls, up_to

said = messages_of(run_id, head.thread.messages)
reply = await model(up_to(run_id, head.thread.messages))
"""

from treadle.core.turns import NO_RESULT, messages_of, open_calls, run_of, up_to

__all__ = ["NO_RESULT", "messages_of", "open_calls", "run_of", "up_to"]
