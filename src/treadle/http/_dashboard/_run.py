"""The page of a run: what it did, who started it, and what it has started."""

from starlette.responses import Response

from treadle.core.messages import MessagePage
from treadle.core.run_queries import LoadRun
from treadle.core.runs import RunRecord, is_active
from treadle.core.thread_queries import ListMessages
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._dashboard._conversation import conversation
from treadle.http._dashboard._rendering import raw, redirect, render
from treadle.http._dashboard._run_tree import tree_of
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._owners import OWN_RUN
from treadle.http._runs import NOT_BEGUN, RUN_OR_ENTRY, cancel_run, load_run

_MESSAGES = 20


async def _show(call: Call) -> Response:
    run_id = call.ids["run_id"]
    try:
        run = await load_run(call, run_id)
    except Refused as refused:
        if refused.code != NOT_BEGUN:
            raise
        return redirect(call, "entries", run_id)  # it says why no worker has begun
    page = await _messages(call, run)
    return render(
        call,
        "run.html",
        run=run,
        can_be_cancelled=is_active(run) and run.source_mailbox_entry_id is not None,
        tree=await tree_of(call.store, run, call.principal.own),
        messages=conversation(page.messages),
        has_more=page.has_more,
    )


async def _load(call: Call) -> RunRecord:
    run_id = call.ids["run_id"]
    (run,) = await call.store.read(LoadRun(run_id=run_id))
    if run is None:
        raise NotFound("run", run_id)
    return run


async def _messages(call: Call, run: RunRecord) -> MessagePage:
    """The first messages of a run; none if its thread is deleted."""
    query = ListMessages(
        thread_id=run.thread_id,
        run_id=run.run_id,
        limit=_MESSAGES,
        visibility=None if call.can("read_internal") else "all",
    )
    try:
        (page,) = await call.store.read(query)
    except NotFound:
        return MessagePage()
    return page


async def _show_metadata(call: Call) -> Response:
    return raw(call, "metadata", (await _load(call)).metadata)


async def _cancel(call: Call) -> Response:
    run_id = call.ids["run_id"]
    try:
        await cancel_run(call, run_id)
    except Refused as refused:
        return redirect(call, "runs", run_id, said=f"Nothing was cancelled: {refused}.")
    return redirect(call, "runs", run_id, said="The run is cancelled.")


OPERATIONS = (
    Operation(
        method="GET",
        path="/runs/{run_id}",
        summary="Show a run and its tree of runs; or its entry, if it has not begun.",
        action="read",
        owner=RUN_OR_ENTRY,
        handle=_show,
    ),
    Operation(
        method="GET",
        path="/runs/{run_id}/metadata",
        summary="Show the metadata of a run as JSON, all of it.",
        action="read",
        owner=OWN_RUN,
        handle=_show_metadata,
    ),
    Operation(
        method="POST",
        path="/runs/{run_id}/cancel",
        summary="Cancel the entry that a run works on, and with it the run.",
        action="cancel",
        owner=OWN_RUN,
        handle=_cancel,
    ),
)
