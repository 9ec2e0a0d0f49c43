"""Errors as answers: a status, and `{"error": ..., "code": ...}` with the data of the error."""

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from treadle.errors import (
    AlreadyExists,
    ClaimConflict,
    CorruptRecord,
    GenerationMismatch,
    InvalidId,
    InvalidValue,
    NotFound,
    NotWaiting,
    ReadOnlyStore,
    RunConflict,
    SchemaTooNew,
    SchemaTooOld,
    StoreClosed,
    StoreUnavailable,
    TreadleError,
    VersionConflict,
)
from treadle.http._responses import JsonResponse

_log = logging.getLogger("treadle.http")


class Refused(Exception):
    """A request that is refused for a reason of HTTP, and not of the store.

    Args:
        status: the status of the answer.
        code: the reason in a word, for programs.
        message: what is wrong, and what to do.
        headers: further headers of the answer.
        closes: whether the connection ends with the answer, as the rest of the body is not wanted.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.closes = closes


class Failure(NamedTuple):
    """A request that failed, as its client sees it."""

    status: int
    code: str
    """The reason in a word, for programs."""
    message: str
    data: dict[str, Any]
    """What else is known."""
    headers: dict[str, str]


class _Answer(NamedTuple):
    status: int
    code: str
    data: tuple[str, ...] = ()
    """Attributes of the error that go into the answer."""


_ANSWERS: dict[type[TreadleError], _Answer] = {
    InvalidId: _Answer(400, "invalid_id", ("kind",)),
    InvalidValue: _Answer(400, "invalid_value", ("where",)),
    NotWaiting: _Answer(409, "not_waiting"),
    NotFound: _Answer(404, "not_found", ("kind",)),
    AlreadyExists: _Answer(409, "already_exists", ("kind",)),
    VersionConflict: _Answer(409, "version_conflict", ("expected", "actual")),
    GenerationMismatch: _Answer(409, "generation_mismatch", ("expected", "actual")),
    ClaimConflict: _Answer(409, "claim_conflict", ("entry_id", "reason")),
    RunConflict: _Answer(409, "run_conflict", ("run_id", "status", "termination_code")),
    ReadOnlyStore: _Answer(403, "read_only"),
    CorruptRecord: _Answer(500, "corrupt_record"),
    StoreClosed: _Answer(503, "store_closed"),
    StoreUnavailable: _Answer(503, "store_unavailable"),
    SchemaTooNew: _Answer(503, "schema_too_new"),
    SchemaTooOld: _Answer(503, "schema_too_old"),
}

_PRIVATE: dict[str, str] = {
    "read_only": "the store is open to read only",
    "corrupt_record": "a record cannot be read; the server's log says which",
    "store_closed": "the store is closed",
    "store_unavailable": "the store is not available; try again",
    "schema_too_new": "a newer Treadle wrote the store",
    "schema_too_old": "the schema of the store is old; it must be migrated first",
}
"""The messages instead of those of errors that name files, hosts and users."""


def answer_to(error: Exception) -> Response:
    """Return the answer to a request that failed. What is the server's fault is logged."""
    failure = failure_of(error)
    # Escaped to ASCII: a message may quote a text that UTF-8 cannot hold.
    body = json.dumps({"error": failure.message, "code": failure.code, **failure.data}).encode()
    return JsonResponse(body, failure.status, failure.headers)


def failure_of(error: Exception) -> Failure:
    """Return what a client may know of an error. What is the server's fault is logged."""
    if isinstance(error, Refused):
        return Failure(error.status, error.code, str(error), {}, error.headers)
    if isinstance(error, TreadleError):
        return _failure_of_the_store(error)
    _log.error("a request failed", exc_info=error)
    return Failure(500, "internal_error", "the server failed; its log says why", {}, {})


def _failure_of_the_store(error: TreadleError) -> Failure:
    known = next(kind for kind in type(error).__mro__ if kind in _ANSWERS)
    answer = _ANSWERS[known]
    data = {name: getattr(error, name) for name in answer.data}
    if error.command is not None:
        data["command"] = error.command
    headers: dict[str, str] = {}
    message = _PRIVATE.get(answer.code, str(error))
    if answer.status >= 500:
        _log.error("a request failed: %s", error, exc_info=error)
    if answer.status == 503:
        headers["retry-after"] = "1"
    return Failure(answer.status, answer.code, message, data, headers)
