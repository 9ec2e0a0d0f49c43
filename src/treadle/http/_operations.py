"""All operations of the API."""

from treadle.http import (
    _ag_ui,
    _ai_sdk,
    _histories,
    _messages,
    _service,
    _thread_events,
    _threads,
)
from treadle.http._operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *_service.OPERATIONS,
    *_threads.OPERATIONS,
    *_messages.OPERATIONS,
    *_thread_events.OPERATIONS,
    *_ag_ui.OPERATIONS,
    *_ai_sdk.OPERATIONS,
    *_histories.OPERATIONS,
)
