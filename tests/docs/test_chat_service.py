"""The chat service of the guide, run as the guide says, with real processes and real requests."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.chat_service import (
    Service,
    commands,
    eventually,
    free_port,
    is_answer,
    replayed,
    save_files,
    turn_of,
    turns_of,
)
from tests.docs.console import Shell


def _on(kind: str) -> Any:
    """Let one process run all tests on a kind of store, which start the service once."""
    return pytest.param(kind, marks=pytest.mark.xdist_group(f"chat-service-{kind}"))


@pytest.fixture(scope="module", params=[_on("files"), _on("sqlite"), _on("postgres")])
def service(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("chat-service")
    urls = {"files": f"{folder}/store", "sqlite": f"sqlite:///{folder}/store.db"}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_url")
        schema = request.getfixturevalue("postgres_schemas").take()
        urls["postgres"] = f"{server}{'&' if '?' in server else '?'}schema={schema}"
    service = Service(folder, urls[request.param])
    try:
        service.start()
        yield service
    finally:
        service.close()


def reply(text: str) -> list[str]:
    """Return the turn of a question."""
    if "time" in text:
        return [f"user: {text}", "assistant: ", "tool: noon", "assistant: I read: noon"]
    return [f"user: {text}", f"assistant: I read: {text}"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is a program of the system")
def test_the_commands_write_what_the_page_shows(tmp_path: Path) -> None:
    save_files(tmp_path)
    ports = {"8001": str(free_port()), "8002": str(free_port())}
    shell = Shell(tmp_path)
    try:
        for command, shown in commands():
            for port, free in ports.items():
                command = command.replace(port, free)
            assert shell.run(command, shown) is None
    finally:
        shell.close()


def test_who_writes_during_a_turn_costs_no_call_of_the_model(service: Service) -> None:
    chat, before = service.create(), service.read_by_model()
    texts = ["What time is it?", "one", "two"]
    turns = [service.say(number % 2, chat, text) for number, text in enumerate(texts)]
    service.request(1, "PATCH", f"/chats/{chat}", {"title": "The time"}, status=204)
    assert service.answered(chat, turns) == [reply(text) for text in texts]
    assert service.read_by_model() - before == Counter([*texts, "noon"])
    newest = service.request(0, "GET", "/chats")["items"][0]
    assert (newest["id"], newest["metadata"]["title"]) == (chat, "The time")
    assert service.request(0, "GET", "/chats", user="ben")["items"] == []
    service.request(0, "GET", f"/chats/{chat}", user="ben", status=404)
    service.request(0, "POST", f"/chats/{chat}/turns", {"txt": "?"}, status=400)


def test_a_killed_worker_loses_nothing_and_each_question_is_answered_once(
    service: Service,
) -> None:
    chats = [service.create() for _ in range(3)]
    followers = [service.follow(web, chat) for web in (0, 1) for chat in chats]
    turns: dict[str, list[str]] = {chat: [] for chat in chats}
    texts: list[str] = []

    def ask(text: str) -> None:
        for chat in chats:
            turn = service.say(0, chat, text, key=f"{len(texts)}")
            assert service.say(1, chat, text, key=f"{len(texts)}") == turn
            turns[chat].append(turn)
            assert turn in map(turn_of, service.show(1, chat)[0]), "visible at once"
        texts.append(text)

    ask("Are you there?")
    ask("What time is it?")
    while not service.kill_a_holder():  # the workers may be faster than this test
        ask("What time is it?")
    ask("Is it time?")
    followers[0].wait_for(3)
    resumed = service.follow(1, chats[0], after=3)

    for chat in chats:
        assert service.answered(chat, turns[chat]) == [reply(text) for text in texts]
    entries = [each for each in service.entries() if each.mailbox_id in chats]
    assert [each.status for each in entries] == ["accepted"] * len(chats) * len(texts)
    assert max(each.attempt_count for each in entries) >= 2, "the killed worker held one"
    for chat, follower in zip(chats * 2, followers, strict=True):
        messages, version = service.show(0, chat)
        events = follower.wait_for(version)
        assert [each.id for each in events] == list(range(1, version + 1))
        assert replayed(events) == messages
    events = resumed.wait_for(service.show(0, chats[0])[1])
    assert [each.id for each in events] == list(range(4, events[-1].id + 1))


def test_edit_regenerate_and_fork_change_what_they_should(service: Service) -> None:
    chat = service.create()
    follower = service.follow(1, chat)
    first = service.say(0, chat, "one")
    second = service.say(0, chat, "two")
    before = service.answered(chat, [first, second])

    again = service.ask_again(1, chat, second, "two")
    assert service.answered(chat, [again]) == before
    assert {turn_of(each) for each in service.show(0, chat)[0]} == {first, again}

    waiting = service.say(0, chat, "What time is it?")
    service.say(0, chat, "taken back before it is answered")
    edited = service.ask_again(1, chat, again, "three")
    assert service.answered(chat, [edited]) == [reply("one"), reply("three")]
    assert waiting not in map(turn_of, service.show(0, chat)[0])

    waiting = service.say(0, chat, "What time is it?")
    taken_back = service.say(0, chat, "four")
    edited = service.ask_again(1, chat, taken_back, "five")
    expected = [reply(text) for text in ("one", "three", "What time is it?", "five")]
    assert service.answered(chat, [waiting, edited]) == expected

    path = f"/chats/{chat}/turns/{first}/fork"
    forked = service.request(0, "POST", path, status=201)["chat"]
    assert turns_of(service.show(1, forked)[0]) == [reply("one")]
    other = service.say(1, forked, "another way")
    assert service.answered(forked, [other]) == [reply("one"), reply("another way")]

    messages, version = service.show(0, chat)
    assert turns_of(messages) == expected
    events = follower.wait_for(version)
    assert [each.id for each in events] == list(range(1, version + 1))
    assert replayed(events) == messages
    service.request(0, "PUT", f"/chats/{chat}/turns/{taken_back}", {"text": "?"}, status=404)


def test_an_answer_is_shown_while_it_is_written_and_stop_keeps_what_was_shown(
    service: Service,
) -> None:
    chat = service.create()
    follower = service.follow(1, chat)
    story = service.say(0, chat, "Tell me a story")
    late = service.say(0, chat, "one")
    eventually(lambda: len(follower.pieces) > 5, "piece")
    service.request(1, "POST", f"/chats/{chat}/stop", status=204)
    asked, kept = service.answered(chat, [story])[0]
    assert asked == "user: Tell me a story"
    eventually(lambda: story in follower.ended, "end of the turn")
    text = "".join(each["delta"] for each in follower.pieces)
    shown = kept.removeprefix("assistant: ")
    assert shown.startswith("I read: Tell me a story"), "what the user has seen"
    assert text.startswith(shown) or shown.startswith(text)

    after = service.say(0, chat, "two")
    assert service.answered(chat, [after])[-1] == reply("two")
    assert late not in {turn_of(each) for each in service.show(0, chat)[0] if is_answer(each)}
    ended = {each.status for each in service.entries() if each.entry_id in (story, late)}
    assert ended == {"superseded"}


def test_the_agent_asks_before_it_pays_and_the_user_chats_meanwhile(service: Service) -> None:
    chat = service.create()
    first = service.say(0, chat, "I want a refund")
    [run] = service.questions(0, chat)
    other = service.say(1, chat, "one")
    service.answered(chat, [other])
    path = f"/chats/{chat}/questions/{run}"
    service.request(0, "POST", path, {"approved": True}, user="ben", status=404)
    for web in (0, 1):
        service.request(web, "POST", path, {"approved": True}, status=204)
    paid = ["user: I want a refund", "assistant: ", "tool: 40 EUR are on their way"]
    answer = "assistant: I read: 40 EUR are on their way"
    assert service.answered(chat, [first]) == [[*paid, answer], reply("one")]

    edited = service.ask_again(0, chat, other, "two")
    assert service.answered(chat, [edited]) == [[*paid, answer], reply("two")], "it stays paid"

    second = service.say(0, chat, "another refund")
    [run] = service.questions(0, chat)
    again = service.ask_again(1, chat, second, "three")
    assert service.answered(chat, [again])[-1] == reply("three")
    path = f"/chats/{chat}/questions/{run}"
    service.request(0, "POST", path, {"approved": True}, status=409)
    assert service.questions(0, chat, wait=False) == []
