"""Turns: the messages of several runs stand mixed in a thread, and a model reads them in order."""

from typing import Any

import msgspec

from treadle import Message, MessageMetadata, ToolCall
from treadle.core.turns import NO_RESULT, history_of
from treadle.turns import messages_of, open_calls, run_of, up_to


def of(run: str | None, message: Message) -> Message:
    metadata = None if run is None else MessageMetadata(run_id=run)
    return msgspec.structs.replace(message, metadata=metadata)


def user(run: str | None, text: str) -> Message:
    return of(run, Message.user(text, id=text))


def agent(run: str | None, text: str, *calls: str) -> Message:
    asked = [ToolCall(id=call, name="tool") for call in calls]
    return of(run, Message.assistant(text, asked, id=text))


def result(run: str | None, call: str, text: str) -> Message:
    return of(run, Message.tool(call, text, id=text))


def texts(run: str, *messages: Message, **more: Any) -> list[str]:
    return [str(message.content) for message in history_of(run, messages, **more)]


class TestRuns:
    def test_a_message_says_its_run(self) -> None:
        said = [user("a", "1"), user(None, "2"), agent("a", "3")]
        assert [run_of(each) for each in said] == ["a", None, "a"]
        assert messages_of("a", said) == [said[0], said[2]]


class TestOpenCalls:
    def test_results_close_calls(self) -> None:
        called = agent("a", "", "x", "y")
        assert open_calls([called]) == list(called.tool_calls or ())
        assert [call.id for call in open_calls([called, result("a", "x", "1")])] == ["y"]
        assert not open_calls([called, result("a", "y", "2"), result("a", "x", "1")])

    def test_a_call_that_is_not_the_last_is_open(self) -> None:
        said = [agent("a", "1", "x"), user("b", "2"), agent("b", "3"), user("c", "4")]
        assert [call.id for call in open_calls(said)] == ["x"]
        assert not open_calls([*said, result("c", "x", "5")])

    def test_ids_that_are_used_again(self) -> None:
        one, other = agent("a", "1", "call_0"), agent("a", "3", "call_0")
        said = [one, result("a", "call_0", "2")]
        assert not open_calls(said)
        assert open_calls([*said, other]) == list(other.tool_calls or ())

    def test_a_result_is_that_of_the_newest_open_call(self) -> None:
        waiting, other = agent("a", "1", "call_0"), agent("b", "2", "call_0")
        said = [waiting, other, result("b", "call_0", "3")]
        assert open_calls(said) == list(waiting.tool_calls or ())
        assert not open_calls([*said, result("c", "call_0", "4")])


class TestUpTo:
    def test_what_was_asked_for_later_waits(self) -> None:
        said = [user("a", "q1"), user("b", "q2")]
        assert texts("a", *said) == ["q1"]
        assert texts("b", *said) == ["q1", "q2"]

    def test_turns_are_in_one_piece(self) -> None:
        said = [user("a", "q1"), user("b", "q2"), agent("a", "a1")]
        assert texts("b", *said) == ["q1", "a1", "q2"]
        assert texts("a", *said) == ["q1", "a1"]

    def test_messages_without_a_run_stand_by_themselves(self) -> None:
        said = [user(None, "0"), agent(None, "1"), user("a", "q1"), user(None, "2")]
        assert texts("a", *said) == ["0", "1", "q1"]
        assert texts("new", *said) == ["0", "1", "q1", "2"]

    def test_a_run_that_was_overtaken_reads_what_was_said_meanwhile(self) -> None:
        said = [user("a", "q1"), user("b", "q2"), agent("b", "a2")]
        assert texts("a", *said) == ["q2", "a2", "q1"]

    def test_a_result_moves_behind_its_call(self) -> None:
        said = [
            user("a", "q1"),
            agent("a", "call", "x"),
            user("b", "q2"),
            agent("b", "a2"),
            result("c", "x", "paid"),
        ]
        assert texts("d", *said) == ["q1", "call", "paid", "q2", "a2"]
        assert texts("c", *said) == ["q1", "call", "paid", "q2", "a2"]

    def test_results_are_in_the_order_of_the_calls(self) -> None:
        said = [agent("a", "calls", "x", "y"), result("a", "y", "2"), result("a", "x", "1")]
        assert texts("a", *said) == ["calls", "1", "2"]

    def test_an_earlier_call_without_a_result_gets_one(self) -> None:
        said = [user("a", "q1"), agent("a", "call", "x"), user("b", "q2")]
        assert texts("b", *said) == ["q1", "call", NO_RESULT, "q2"]
        [_, _, missing, _] = up_to("b", said, no_result="wait")
        assert (missing.role, missing.tool_call_id, missing.content) == ("tool", "x", "wait")
        assert texts("a", *said) == ["q1", "call"]

    def test_the_last_result_counts(self) -> None:
        said = [
            agent("a", "call", "x"),
            result("b", "x", "placeholder"),
            user("c", "q"),
            result("c", "x", "paid"),
        ]
        assert texts("c", *said) == ["call", "paid", "q"]

    def test_a_result_without_its_call_stays(self) -> None:
        assert texts("a", user("a", "q"), result("a", "x", "lost")) == ["q", "lost"]


class TestWhatElseIsKnown:
    def test_messages_that_came_with_the_run(self) -> None:
        said = [user("old", "q1"), user("b", "q2")]
        assert texts("new", *said, asked=("q1",)) == ["q1"]

    def test_a_run_without_messages_is_behind_one(self) -> None:
        said = [user("a", "q1"), agent("a", "a1"), user("c", "q3"), agent("b", "a2")]
        assert texts("b", *said, behind="a1") == ["q1", "a1", "a2"]

    def test_a_run_that_became_a_part_of_another(self) -> None:
        said = [
            user("a", "q1"),
            agent("a", "call", "x"),
            user("b", "q2"),
            result("a", "x", "1"),
            agent("a", "a1"),
            user("c", "q3"),
        ]
        assert texts("c", *said, merged={"b": "a"}) == ["q1", "call", "1", "q2", "a1", "q3"]
        assert texts("a", *said, merged={"b": "a", "a": "b"})[-1] == "a1"


class TestAskedAgain:
    def test_an_answer_never_comes_before_its_question(self) -> None:
        said = [user("a", "question"), agent("a", "answer")]
        assert texts("b", *said, asked={"question"}) == ["question"]
        said.append(agent("b", "another"))
        assert texts("c", *said, asked={"question"}) == ["question"]

    def test_what_was_said_before_the_question_stays(self) -> None:
        said = [agent("x", "hello"), user("a", "question"), agent("a", "answer")]
        assert texts("b", *said, asked={"question"}) == ["hello", "question"]

    def test_an_answer_without_a_question_of_its_own_comes_before_a_new_question(self) -> None:
        said = [user("a", "pay"), agent("a", "may I?"), user("c", "thanks"), agent("b", "paid")]
        expected = ["pay", "may I?", "paid", "thanks"]
        assert texts("c", *said, asked={"thanks"}) == expected

    def test_a_question_that_was_taken_is_a_new_one(self) -> None:
        said = [user("a", "one"), user("b", "two"), agent("x", "paid")]
        merged = {"b": "a"}
        assert texts("a", *said, asked={"one", "two"}, merged=merged) == ["paid", "one", "two"]
