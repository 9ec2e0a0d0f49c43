"""The OpenAI Agents SDK: a `Session` on a thread, and runs that wait for a human as documents.

`TreadleSession` goes where the SDK takes a session: `Runner.run(agent, text, session=session)`.
"""

from treadle.integrations._requirements import requires

with requires("treadle[openai-agents]"):
    from treadle.integrations.openai_agents._importing import import_sessions
    from treadle.integrations.openai_agents._items import read_item, write_items
    from treadle.integrations.openai_agents._run_states import (
        load_run_state,
        put_run_state,
        take_run_state,
    )
    from treadle.integrations.openai_agents._session import TreadleSession

__all__ = [
    "TreadleSession",
    "import_sessions",
    "load_run_state",
    "put_run_state",
    "read_item",
    "take_run_state",
    "write_items",
]
