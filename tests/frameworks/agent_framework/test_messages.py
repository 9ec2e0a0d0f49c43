"""What a thread shows of a session's messages, and that the framework loads them as they were."""

from agent_framework import Content, Message

import treadle
from tests.marks import every_backend
from treadle import Store, Thread
from treadle.integrations.agent_framework import TreadleHistoryProvider


def call(id: str, arguments: object) -> Content:
    return Content.from_function_call(call_id=id, name="weather", arguments=arguments)  # type: ignore[arg-type]


def result(id: str, value: object) -> Content:
    return Content.from_function_result(call_id=id, result=value)


async def shown(store: Store, *messages: Message) -> list[treadle.Message]:
    """Save messages, and return those of the thread."""
    provider = TreadleHistoryProvider(store)
    await provider.save_messages("s", messages)
    head = await store.threads.load(provider.thread_id("s"))
    assert head is not None
    return list(head.thread.messages)


async def loaded(store: Store) -> list[dict[str, object]]:
    return [each.to_dict() for each in await TreadleHistoryProvider(store).get_messages("s")]


@every_backend
async def test_calls_and_results_are_those_of_the_thread(store: Store) -> None:
    messages = [
        Message("user", [Content.from_text("Weather?")]),
        Message(
            "assistant",
            [Content.from_text("I look."), call("a", {"city": "Oslo"}), call("b", '{"city": 1}')],
        ),
        Message("tool", [result("a", "grey"), result("b", {"sky": "blue"})]),
        Message("assistant", [Content.from_text("Grey and blue.")]),
    ]
    _, asks, first, second, says = await shown(store, *messages)
    assert (asks.role, asks.content) == ("assistant", "I look.")
    calls = [(each.id, each.name, each.arguments) for each in asks.tool_calls or ()]
    assert calls == [("a", "weather", {"city": "Oslo"}), ("b", "weather", {"city": 1})]
    assert (first.role, first.tool_call_id, first.content) == ("tool", "a", "grey")
    assert (second.role, second.tool_call_id, second.content) == ("tool", "b", '{"sky": "blue"}')
    assert says.content == "Grey and blue."
    assert await loaded(store) == [each.to_dict() for each in messages]


@every_backend
async def test_messages_that_come_again_are_known_although_they_are_several(store: Store) -> None:
    messages = [Message("user", [Content.from_text("hi")], message_id="u")]
    for number in range(3):
        names = [f"{number}-{each}" for each in "abc"]
        messages += [
            Message("assistant", [call(each, {"n": number}) for each in names]),
            Message("tool", [result(each, each) for each in names]),
        ]
    for end in range(1, len(messages) + 1):
        await TreadleHistoryProvider(store).save_messages("s", messages[:end])
    assert await loaded(store) == [each.to_dict() for each in messages]
    await TreadleHistoryProvider(store).save_messages("s", messages[-3:])
    assert await loaded(store) == [each.to_dict() for each in messages]


async def test_a_message_that_was_written_before_still_loads(store: Store) -> None:
    """Its contents are the content, and its fields have none."""
    wanted = Message("assistant", [call("a", {"city": "Oslo"})]).to_dict()
    fields = {key: value for key, value in wanted.items() if key != "contents"}
    written = treadle.Message(
        role="assistant", content=wanted["contents"], extra={"agent_framework": fields}
    )
    thread_id = TreadleHistoryProvider(store).thread_id("s")
    await store.threads.create(Thread(id=thread_id, messages=(written,)))
    assert await loaded(store) == [wanted]
