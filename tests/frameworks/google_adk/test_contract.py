"""The contract of ADK's session services: a test of ours for each that ADK holds all of them to.

ADK's own tests (tests/unittests/sessions) are in no package. These have their names.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.adk.tools.tool_confirmation import ToolConfirmation
from google.genai import types

from tests.frameworks.google_adk.events import APP, USER, changing, said
from tests.marks import every_backend
from treadle.integrations.google_adk import TreadleSessionService

pytestmark = every_backend

Service = TreadleSessionService


async def new(service: Service, name: str = "s", user: str = USER, **state: object) -> Session:
    return await service.create_session(
        app_name=APP, user_id=user, session_id=name, state=dict(state)
    )


async def load(
    service: Service, name: str = "s", user: str = USER, config: GetSessionConfig | None = None
) -> Session:
    session = await service.get_session(app_name=APP, user_id=user, session_id=name, config=config)
    assert session is not None
    return session


async def names(service: Service, user: str | None = USER) -> list[str]:
    found = await service.list_sessions(app_name=APP, user_id=user)
    return [session.id for session in found.sessions]


@pytest.fixture
def new_york() -> Iterator[None]:
    """The local time of New York, which repeats an hour each autumn."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


async def test_get_empty_session(service: Service) -> None:
    assert await service.get_session(app_name=APP, user_id=USER, session_id="123") is None


async def test_create_get_session(service: Service) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, state={"key": "value"})
    assert (session.app_name, session.user_id, session.state) == (APP, USER, {"key": "value"})
    assert session.id
    assert session.last_update_time <= time.time()
    assert await load(service, session.id) == session
    await service.delete_session(app_name=APP, user_id=USER, session_id=session.id)
    assert await service.get_session(app_name=APP, user_id=USER, session_id=session.id) is None


async def test_create_and_list_sessions(service: Service) -> None:
    for number in range(5):
        await new(service, f"s{number}", key=number)
    found = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert {each.id: each.state for each in found} == {f"s{n}": {"key": n} for n in range(5)}


async def test_list_sessions_ordered_by_last_update_time(service: Service) -> None:
    for name in ("a", "b", "c"):
        await new(service, name)
    await service.append_event(await load(service, "a"), said(timestamp=time.time() + 1))
    assert await names(service) == ["b", "c", "a"]


async def test_list_sessions_all_users(service: Service) -> None:
    await new(service, "1a", "user1", key="1a")
    await new(service, "1b", "user1", key="1b")
    await new(service, "2a", "user2", key="2a")
    assert set(await names(service, "user1")) == {"1a", "1b"}
    assert await names(service, "user2") == ["2a"]
    found = (await service.list_sessions(app_name=APP)).sessions
    assert {(each.user_id, each.id, each.state["key"]) for each in found} == {
        ("user1", "1a", "1a"),
        ("user1", "1b", "1b"),
        ("user2", "2a", "2a"),
    }


async def test_app_state_is_shared_by_all_users_of_app(service: Service) -> None:
    session = await new(service, "s1", "u1", **{"app:k1": "v1"})
    await service.append_event(session, changing({"app:k2": "v2"}))
    assert (await new(service, "s2", "u2")).state == {"app:k1": "v1", "app:k2": "v2"}
    assert (await load(service, "s1", "u1")).state == {"app:k1": "v1", "app:k2": "v2"}


async def test_user_state_is_shared_only_by_user_sessions(service: Service) -> None:
    session = await new(service, "s1", "u1", **{"user:k1": "v1"})
    await service.append_event(session, changing({"user:k2": "v2"}))
    assert (await new(service, "s1b", "u1")).state == {"user:k1": "v1", "user:k2": "v2"}
    assert (await new(service, "s2", "u2")).state == {}


async def test_session_state_is_not_shared(service: Service) -> None:
    session = await new(service, "s1", sk1="v1")
    await service.append_event(session, changing({"sk2": "v2"}))
    assert (await load(service, "s1")).state == {"sk1": "v1", "sk2": "v2"}
    assert (await new(service, "s1b")).state == {}


async def test_dict_valued_state_delta_replaces_stored_value(service: Service) -> None:
    session = await new(service, profile={"name": "ada", "role": "admin"})
    await service.append_event(session, changing({"profile": {"name": "bob"}}))
    assert (await load(service)).state == session.state == {"profile": {"name": "bob"}}


async def test_none_valued_state_delta_is_stored_not_dropped(service: Service) -> None:
    session = await new(service, flag=True)
    await service.append_event(session, changing({"flag": None}))
    assert (await load(service)).state == session.state == {"flag": None}


async def test_boolean_state_survives_unrelated_state_delta(service: Service) -> None:
    session = await new(service, flag=False)
    await service.append_event(session, changing({"new_flag": True}))
    found = (await load(service)).state
    assert found["flag"] is False
    assert found["new_flag"] is True
    assert session.state == found


async def test_app_state_dict_valued_delta_replaces_stored_value(service: Service) -> None:
    session = await new(service, "s1", "u1", **{"app:cfg": {"name": "ada", "role": "admin"}})
    await service.append_event(session, changing({"app:cfg": {"name": "bob"}}))
    other = await new(service, "s2", "u2")
    assert other.state == session.state == {"app:cfg": {"name": "bob"}}


async def test_user_state_none_valued_delta_is_stored_not_dropped(service: Service) -> None:
    session = await new(service, "s1", **{"user:pref": "dark"})
    await service.append_event(session, changing({"user:pref": None}))
    assert (await new(service, "s1b")).state == session.state == {"user:pref": None}


async def test_temp_state_is_not_persisted_in_state_or_events(service: Service) -> None:
    session = await new(service)
    event = changing({"temp:k1": "v1", "sk": "v2"})
    await service.append_event(session, event)
    assert session.state == {"temp:k1": "v1", "sk": "v2"}
    assert event.actions.state_delta == {"sk": "v2"}
    found = await load(service)
    assert found.state == {"sk": "v2"}
    assert found.events[0].actions.state_delta == {"sk": "v2"}


async def test_temp_state_visible_across_sequential_events(service: Service) -> None:
    session = await new(service)
    first = changing({"temp:output": "of agent 1"}, author="agent1")
    await service.append_event(session, first)
    assert session.state["temp:output"] == "of agent 1"
    await service.append_event(session, changing({"seen": True}, author="agent2"))
    assert session.state["temp:output"] == "of agent 1"
    assert "temp:output" not in first.actions.state_delta


async def test_get_session_respects_user_id(service: Service) -> None:
    await service.append_event(await new(service, "s1", "u1"), said())
    await new(service, "s1", "u2")
    found = await load(service, "s1", "u2")
    assert (found.user_id, found.events) == ("u2", [])


async def test_create_session_with_existing_id_raises_error(service: Service) -> None:
    await new(service, "existing")
    with pytest.raises(AlreadyExistsError, match="existing"):
        await new(service, "existing")


async def test_create_session_with_padded_duplicate_id_raises_error(service: Service) -> None:
    await new(service, "existing", keep="original")
    with pytest.raises(AlreadyExistsError):
        await new(service, "  existing  ", keep="clobbered")
    assert (await load(service, "existing")).state == {"keep": "original"}


async def test_padded_session_id_reads_and_deletes(service: Service) -> None:
    assert (await new(service, "  s  ")).id == "s"
    assert (await load(service, "\ts ")).id == "s"
    await service.delete_session(app_name=APP, user_id=USER, session_id=" s ")
    assert await names(service) == []


async def test_create_session_with_blank_id_generates_one(service: Service) -> None:
    one, other = await new(service, "   "), await new(service, "")
    assert one.id.strip()
    assert one.id != other.id


async def test_create_session_concurrent_same_id_raises_already_exists_error(
    service: Service, another: Callable[[], Service]
) -> None:
    services = [service, another()]
    for number in range(5):
        ends = await asyncio.gather(
            *(new(each, f"race-{number}") for each in services), return_exceptions=True
        )
        [error] = [end for end in ends if isinstance(end, BaseException)]
        assert isinstance(error, AlreadyExistsError)
        assert f"race-{number}" in str(error)
        assert (await load(service, f"race-{number}")).id == f"race-{number}"


async def test_create_session_sequential_same_app_name(service: Service) -> None:
    for user in ("u1", "u2"):
        await new(service, "s", user)
    assert {(await load(service, "s", user)).user_id for user in ("u1", "u2")} == {"u1", "u2"}


async def test_append_event_bytes(service: Service) -> None:
    session = await new(service)
    image = types.Part.from_bytes(data=b"\x00\xffimage", mime_type="image/png")
    content = types.Content(role="user", parts=[image])
    grounding = types.GroundingMetadata(
        search_entry_point=types.SearchEntryPoint(sdk_blob=b"\x80blob")
    )
    event = said(content=content, grounding_metadata=grounding)
    await service.append_event(session, event)
    assert session.events[0].content == content
    [found] = (await load(service)).events
    assert (found.content, found.grounding_metadata) == (content, grounding)


async def test_append_event_complete(service: Service) -> None:
    session = await new(service)
    event = said(
        "text",
        turn_complete=True,
        partial=False,
        actions=EventActions(artifact_delta={"file": 0}, transfer_to_agent="agent", escalate=True),
        long_running_tool_ids={"tool1"},
        error_code="error_code",
        error_message="error_message",
        interrupted=True,
        grounding_metadata=types.GroundingMetadata(web_search_queries=["query1"]),
        usage_metadata=types.GenerateContentResponseUsageMetadata(
            prompt_token_count=1, candidates_token_count=1, total_token_count=2
        ),
        citation_metadata=types.CitationMetadata(),
        custom_metadata={"custom_key": "custom_value"},
        timestamp=1700000000.123,
        input_transcription=types.Transcription(text="in", finished=True),
        output_transcription=types.Transcription(text="out", finished=True),
    )
    await service.append_event(session, event)
    assert await load(service) == session


@pytest.mark.filterwarnings("ignore:.*TOOL_CONFIRMATION is enabled:UserWarning")
async def test_append_event_with_requested_tool_confirmations(service: Service) -> None:
    session = await new(service)
    asked = ToolConfirmation(hint="sure?", confirmed=False, payload={"album": "1"})
    actions = EventActions(requested_tool_confirmations={"call1": asked})
    await service.append_event(session, said(actions=actions))
    [found] = (await load(service)).events
    assert found.actions.requested_tool_confirmations == {"call1": asked}


async def test_append_event_with_non_serializable_state_delta(service: Service) -> None:
    session = await new(service)
    await service.append_event(session, changing({"callback": lambda: 1, "ok": 2}))
    found = await load(service)
    assert len(found.events) == 1
    assert found.state["ok"] == 2
    assert isinstance(found.state["callback"], str)


async def test_session_last_update_time_updates_on_event(service: Service) -> None:
    session = await new(service)
    later = session.last_update_time + 10
    await service.append_event(session, said(timestamp=later))
    assert session.last_update_time == (await load(service)).last_update_time == later


async def test_append_event_to_deleted_session_raises_session_not_found(service: Service) -> None:
    session = await new(service)
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said())


async def test_append_event_to_unknown_session_raises_session_not_found(service: Service) -> None:
    with pytest.raises(SessionNotFoundError):
        await service.append_event(Session(app_name=APP, user_id=USER, id="never"), said())
    assert await names(service) == []


async def test_append_event_to_stale_session(service: Service) -> None:
    old = await new(service)
    await service.append_event(old, changing({"sk1": "v1"}, invocation_id="inv1"))
    newer = await load(service)
    await service.append_event(newer, changing({"sk2": "v2"}, invocation_id="inv2"))
    assert old.last_update_time < newer.last_update_time
    assert "sk2" not in old.state
    with pytest.raises(StaleSessionError, match="modified in storage"):
        await service.append_event(old, changing({"sk3": "v3"}))
    assert len(old.events) == 1
    found = await load(service)
    assert [event.invocation_id for event in found.events] == ["inv1", "inv2"]
    assert found.state == {"sk1": "v1", "sk2": "v2"}


async def test_append_event_concurrent_stale_sessions_reject_stale_writer(
    service: Service, another: Callable[[], Service]
) -> None:
    await new(service)
    services = [service, another()]
    for number in range(8):
        copies = [await load(service), await load(service)]
        ends = await asyncio.gather(
            *(
                each.append_event(session, changing({f"{number}-{side}": True}))
                for side, (each, session) in enumerate(zip(services, copies, strict=True))
            ),
            return_exceptions=True,
        )
        [error] = [end for end in ends if isinstance(end, BaseException)]
        assert isinstance(error, StaleSessionError)
        assert "modified in storage" in str(error)
    found = await load(service)
    assert len(found.events) == len(found.state) == 8


async def test_append_event_allows_timestamp_drift_for_current_session(service: Service) -> None:
    session = await new(service)
    await service.append_event(session, said("1", timestamp=session.last_update_time + 10))
    session.last_update_time -= 0.0001
    await service.append_event(session, said("2", timestamp=session.last_update_time + 10))
    assert len((await load(service)).events) == 2


async def test_append_event_allows_markerless_current_session(service: Service) -> None:
    session = await new(service)
    await service.append_event(session, said("1", timestamp=session.last_update_time + 10))
    session._storage_update_marker = None
    session.last_update_time -= 0.0001
    await service.append_event(session, said("2", timestamp=session.last_update_time + 10))
    assert len((await load(service)).events) == 2


async def test_append_event_is_idempotent_for_same_event_id(service: Service) -> None:
    session = await new(service)
    event = changing({"counter": 1})
    await service.append_event(session, event)
    await service.append_event(session, changing({"counter": 2}))
    await service.append_event(session, event)
    await service.append_event(session, event.model_copy(deep=True))
    found = await load(service)
    assert len(found.events) == 2
    assert found.state == {"counter": 2}


async def test_append_different_events_not_deduplicated(service: Service) -> None:
    session = await new(service)
    for text in ("one", "two"):
        await service.append_event(session, said(text, id="shared"))
    assert [event.id for event in (await load(service)).events] == ["shared", "shared"]


async def test_get_session_with_config(service: Service) -> None:
    session = await new(service)
    for number in range(1, 6):
        await service.append_event(session, said(timestamp=float(number)))

    async def times(**options: object) -> list[float]:
        config = GetSessionConfig.model_validate(options)
        return [event.timestamp for event in (await load(service, config=config)).events]

    assert await times() == [1, 2, 3, 4, 5]
    assert await times(num_recent_events=0) == []
    assert await times(num_recent_events=3) == [3, 4, 5]
    assert await times(num_recent_events=1000) == [1, 2, 3, 4, 5]
    assert await times(after_timestamp=4.0) == [4, 5]
    assert await times(after_timestamp=50) == []
    assert await times(after_timestamp=4.0, num_recent_events=3) == [4, 5]
    assert await times(after_timestamp=2.0, num_recent_events=3) == [3, 4, 5]


async def test_partial_events_are_not_persisted(service: Service) -> None:
    session = await new(service)
    await service.append_event(session, said(partial=True))
    assert session.events == (await load(service)).events == []


async def test_service_recovers_after_multiple_failures(service: Service) -> None:
    session = await new(service)
    for _ in range(5):
        with pytest.raises(ValueError, match="JSON has no nan"):
            await service.append_event(session, changing({"bad": float("nan"), "ok": 1}))
        with pytest.raises(ValueError, match="control character"):
            await new(service, "bad\x01id")
    assert session.events == (await load(service)).events == []
    assert (await load(service)).state == {}
    await service.append_event(session, changing({"ok": 1}))
    assert await load(service) == session


async def test_get_user_state_returns_empty_dict_when_no_state_exists(service: Service) -> None:
    assert await service.get_user_state(app_name=APP, user_id=USER) == {}


async def test_get_user_state_returns_state_written_via_append_event(service: Service) -> None:
    session = await new(service)
    delta = {"user:profile": {"name": "Alice"}, "session_key": 1}
    await service.append_event(session, changing(delta))
    found = await service.get_user_state(app_name=APP, user_id=USER)
    assert found == {"profile": {"name": "Alice"}}


async def test_get_user_state_is_not_visible_across_users(service: Service) -> None:
    await new(service, "s", "u1", **{"user:secret": "of u1"})
    assert await service.get_user_state(app_name=APP, user_id="u2") == {}


async def test_get_user_state_is_not_visible_across_apps(service: Service) -> None:
    await new(service, **{"user:data": "of this app"})
    assert await service.get_user_state(app_name="other", user_id=USER) == {}


async def test_get_user_state_available_before_session_is_created(service: Service) -> None:
    await service.append_event(await new(service, "first"), changing({"user:ctx": {"v": 1}}))
    await service.delete_session(app_name=APP, user_id=USER, session_id="first")
    assert await service.get_user_state(app_name=APP, user_id=USER) == {"ctx": {"v": 1}}


async def test_get_user_state_reflects_latest_write(service: Service) -> None:
    session = await new(service)
    for number in (1, 2):
        await service.append_event(session, changing({"user:counter": number}))
    assert await service.get_user_state(app_name=APP, user_id=USER) == {"counter": 2}


async def test_get_session_keeps_exact_epoch_across_a_repeated_local_hour(
    service: Service, new_york: None
) -> None:
    assert os.environ["TZ"] == "America/New_York"
    times = [1730613600.0, 1730615400.0]  # 01:00 and 01:30, for the second time that night
    session = await new(service)
    for each in times:
        await service.append_event(session, said(timestamp=each))
    assert [event.timestamp for event in (await load(service)).events] == times


async def test_delete_session_removes_only_the_targeted_users_session(service: Service) -> None:
    for user in ("u1", "u2"):
        await new(service, "s1", user, key=user)
        await new(service, "s11", user, key=user)
    await service.delete_session(app_name=APP, user_id="u1", session_id="s1")
    assert await names(service, "u1") == ["s11"]
    assert (await load(service, "s1", "u2")).state == {"key": "u2"}
    assert (await load(service, "s11", "u1")).state == {"key": "u1"}


async def test_delete_session_unknown_session_is_a_noop(service: Service) -> None:
    await new(service, "s1", "u1")
    for app, user, name in ((APP, "u1", "unknown"), (APP, "unknown", "s1"), ("no", "u1", "s1")):
        await service.delete_session(app_name=app, user_id=user, session_id=name)
    assert await names(service, "u1") == ["s1"]


async def test_list_sessions_strips_events_and_merges_scoped_state(service: Service) -> None:
    state = {"app:a": "av", "user:u": "uv", "sk": "sv", "temp:t": "tv"}
    session = await new(service, **state)
    await service.append_event(session, changing({"sk2": "sv2"}))
    [found] = (await service.list_sessions(app_name=APP, user_id=USER)).sessions
    assert found.events == []
    assert found.state == {"app:a": "av", "user:u": "uv", "sk": "sv", "sk2": "sv2"}


async def test_list_sessions_unknown_app_or_user_returns_empty_response(service: Service) -> None:
    await new(service, "s1", "u1")
    assert (await service.list_sessions(app_name="unknown")).sessions == []
    assert await names(service, "unknown") == []
    assert await names(service, "") == []
    assert await names(service, None) == ["s1"]
