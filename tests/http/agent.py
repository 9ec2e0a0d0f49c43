"""An agent for tests: what it does follows from what was said last."""

import asyncio

from treadle import Message, RunStatus, ToolCall, patches
from treadle.worker import Delivery, Interrupt, Reject, Turn

PIECES = ["Hel", "lo ", "there"]
FIRST_OPS: list[patches.Op] = [
    patches.Set(("plan", "steps"), ["look", "leap"]),
    patches.Set(("plan", "a/b~c"), 1),
]
MORE_OPS: list[patches.Op] = [
    patches.Append(("plan", "steps"), "land"),
    patches.Insert(("plan", "steps"), 0, "wait"),
    patches.Remove(("plan", "steps"), "look"),
    patches.Increment(("plan", "a/b~c"), 41),
    patches.MergeObject(("who",), {"name": "Ann"}),
    patches.Delete(("who", "nobody")),
    patches.Set(("where", "to"), None),
]
RECOUNTED = {
    "plan": {"steps": ["wait", "leap", "land"], "a/b~c": 42},
    "who": {"name": "Ann"},
    "where": {"to": None},
}
"""The state after both."""


async def handle(delivery: Delivery) -> None:
    """Do a turn."""
    turn = Turn(delivery)
    head = await delivery.thread()
    assert head is not None
    last = head.thread.messages[-1]
    if turn.request.resume:
        await resume(delivery, turn)
        return
    if last.id == "paused":
        await finish(delivery, turn, "And on.")
        return
    if last.role == "tool":
        await finish(delivery, turn, f"You picked {last.content}.")
        return
    match last.content:
        case "weather":
            await use_tool(delivery, turn)
        case "refund":
            await ask(delivery, turn)
        case "pause":
            await pause(delivery, turn)
        case "color":
            call = ToolCall(id="pick-1", name="pick", arguments={"of": ["red", "blue"]})
            async with delivery.batch() as step:
                asking = turn.changes(Message.assistant("", [call], id="pick"), status="done")
                step.threads.append(turn.request.thread_id, asking)
        case "fail":
            raise Reject("it cannot be done")
        case "wait":
            await asyncio.sleep(30)
        case "count":
            state = head.thread.rebuild_state() or {"count": 0}
            async with delivery.batch() as step:
                done = turn.changes(
                    Message.assistant("counted"),
                    status="done",
                    state={"count": state["count"] + 1, "client": turn.request.state},
                )
                step.threads.append(turn.request.thread_id, done)
        case "recount":
            await recount(delivery, turn)
        case "recount to a reader":
            await recount(delivery, turn, to_reader=True)
        case "slow":
            await stream(delivery, turn, pause=0.3)
        case "tokens":
            await stream_to_a_reader(delivery, turn)
        case "reload":
            await stream_until_read_again(delivery, turn)
        case _:
            await stream(delivery, turn)


async def recount(delivery: Delivery, turn: Turn, *, to_reader: bool = False) -> None:
    """Change the state by patches, in two commits."""
    steps: list[tuple[list[patches.Op], RunStatus]] = [(FIRST_OPS, "running"), (MORE_OPS, "done")]
    for ops, status in steps:
        async with delivery.batch(settle=status == "done") as step:
            changes = turn.changes(status=status, patches=[patches.track(*ops)])
            step.threads.append(turn.request.thread_id, changes)
        if status == "running":  # a client gets each as it is committed
            await (until_seen(delivery, "a state") if to_reader else asyncio.sleep(0.3))


async def stream(delivery: Delivery, turn: Turn, pause: float = 0.06) -> None:
    """Think, and answer in pieces."""
    message = turn.message()
    await message.reasoning("They greet.")
    for piece in PIECES:
        await message.text(piece)
        await asyncio.sleep(pause)
    async with delivery.batch() as step:
        said = Message.assistant("".join(PIECES), id=message.id)
        step.threads.append(turn.request.thread_id, turn.changes(said, status="done"))


async def stream_to_a_reader(delivery: Delivery, turn: Turn) -> None:
    """As `stream`, but each piece follows once the client has shown those before it."""
    message, text = turn.message(), ""
    await message.reasoning("They greet.")
    for piece in PIECES:
        text += piece
        await message.text(piece)
        await until_seen(delivery, text)
    await finish(delivery, turn, text, message.id)


async def stream_until_read_again(delivery: Delivery, turn: Turn) -> None:
    """As `stream`, but it ends once a page that was loaded again reads the answer."""
    message = turn.message()
    for piece in PIECES:
        await message.text(piece)
    await until_seen(delivery, "reloaded")
    await finish(delivery, turn, "".join(PIECES), message.id)


async def until_seen(delivery: Delivery, what: str) -> None:
    """Wait until the client says, in the metadata of its thread, that it has seen something."""
    while True:
        head = await delivery.thread()
        assert head is not None
        if head.thread.metadata.extra.get("seen") == what:
            return
        await asyncio.sleep(0.02)


async def use_tool(delivery: Delivery, turn: Turn) -> None:
    """Call a tool, and answer with what it says."""
    message = turn.message()
    await message.text("Let me see. ")
    await message.tool_call("call-1", "weather", '{"city": ')
    await message.tool_call("call-1", "weather", '"Rome"}')
    call = ToolCall(id="call-1", name="weather", arguments={"city": "Rome"})
    said = Message.assistant("Let me see. ", [call], id=message.id)
    await say(delivery, turn, said)
    result = Message.tool("call-1", '{"sky":"blue"}', id=f"{message.id}-result")
    await say(delivery, turn, result)
    await finish(delivery, turn, "The sky is blue.")


async def ask(delivery: Delivery, turn: Turn) -> None:
    """Ask whether a tool may be called; the answer comes with the next run."""
    call = ToolCall(id="refund-1", name="refund", arguments={"amount": 40})
    question = Interrupt(
        id="may-1", reason="tool_call", message="May I refund 40 EUR?", tool_call_id="refund-1"
    )
    async with delivery.batch() as step:
        asking = turn.changes(
            Message.assistant("", [call], id=f"{turn.request.run_id}-refund"),
            status="waiting",
            interrupts=[question],
        )
        step.threads.append(turn.request.thread_id, asking)


async def resume(delivery: Delivery, turn: Turn) -> None:
    """Do what was asked for, if it may be done."""
    [answer] = turn.request.resume
    may = answer.status == "resolved" and bool((answer.payload or {}).get("approved"))
    result = Message.tool("refund-1", '"done"' if may else '"denied"')
    text = "Refunded." if may else "I have not."
    async with delivery.batch() as step:
        ended = turn.changes(result, Message.assistant(text), status="done")
        step.threads.append(turn.request.thread_id, ended)


async def pause(delivery: Delivery, turn: Turn) -> None:
    """Ask, and keep the entry until the mailbox is resumed."""
    async with delivery.pause(reason="Go on?") as step:
        asking = turn.changes(Message.assistant("Hm.", id="paused"), status="waiting")
        step.threads.append(turn.request.thread_id, asking)


async def finish(delivery: Delivery, turn: Turn, text: str, message_id: str | None = None) -> None:
    """Say the last thing."""
    async with delivery.batch() as step:
        done = turn.changes(Message.assistant(text, id=message_id), status="done")
        step.threads.append(turn.request.thread_id, done)


async def say(delivery: Delivery, turn: Turn, message: Message) -> None:
    """Say something, and go on."""
    async with delivery.batch(settle=False) as step:
        step.threads.append(turn.request.thread_id, turn.changes(message))
