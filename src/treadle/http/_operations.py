"""All operations of the API."""

from treadle.http import (
    _ag_ui,
    _agent_events,
    _ai_sdk,
    _batches,
    _claims,
    _documents,
    _edits,
    _entries,
    _histories,
    _mailboxes,
    _messages,
    _openapi,
    _run_inputs,
    _runs,
    _service,
    _thread_events,
    _threads,
)
from treadle.http._operation import Operation

_DESCRIBED: tuple[Operation, ...] = (
    *_service.OPERATIONS,
    *_threads.OPERATIONS,
    *_messages.OPERATIONS,
    *_thread_events.OPERATIONS,
    *_edits.OPERATIONS,
    *_runs.OPERATIONS,
    *_agent_events.OPERATIONS,
    *_run_inputs.OPERATIONS,
    *_mailboxes.OPERATIONS,
    *_entries.OPERATIONS,
    *_claims.OPERATIONS,
    *_batches.OPERATIONS,
    *_documents.OPERATIONS,
    *_ag_ui.OPERATIONS,
    *_ai_sdk.OPERATIONS,
    *_histories.OPERATIONS,
)

OPERATIONS = (*_DESCRIBED, _openapi.openapi_operation(_DESCRIBED))
