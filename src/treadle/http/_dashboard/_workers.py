"""The page of workers: who holds entries, and until when."""

from starlette.responses import Response

from treadle.core.mailbox_reports import ListConsumers
from treadle.http._call import Call
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._owners import ALL


async def _list(call: Call) -> Response:
    (consumers,) = await call.store.read(ListConsumers())
    return render(call, "workers.html", consumers=consumers)


OPERATIONS = (
    Operation(
        method="GET",
        path="/workers",
        summary="List who holds entries, and until when.",
        action="read",
        owner=ALL,
        handle=_list,
    ),
)
