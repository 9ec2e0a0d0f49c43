"""Sessions of Google's Agent Development Kit (ADK) in a store.

`TreadleSessionService` is a session service of ADK::

    async with treadle.open_store("sqlite:///agents.db") as store:
        service = TreadleSessionService(store)
        runner = Runner(app_name="app", agent=agent, session_service=service)

`adk web --session_service_uri treadle+sqlite:///agents.db` uses one if a file `services.py` in the
folder of the agents calls `register_uris()`.

The events of a session are the messages of a thread, whose owner (`resource_id`) is the user. The
state is documents, one for each key, in the collection `adk.<app>`, under keys that begin with the
user's id; state of the app is in `adk-app.<app>`. So `Store.erase` deletes all of a user.
"""

from treadle.integrations._requirements import requires

with requires("treadle[google-adk]"):
    from treadle.integrations.google_adk._importing import import_sessions
    from treadle.integrations.google_adk._service import OnStale, TreadleSessionService
    from treadle.integrations.google_adk._uris import register_uris

__all__ = ["OnStale", "TreadleSessionService", "import_sessions", "register_uris"]
