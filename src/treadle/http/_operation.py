"""Operations: each route as a value, from which everything about it comes.

Routing, validation, authorisation, the OpenAPI document and the reference are made from these.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeAlias

import msgspec
from starlette.responses import Response

from treadle.http._call import Call
from treadle.http._input import Body, Parameters, parameters_of
from treadle.http._owners import OwnerRule
from treadle.http._principals import ALL_ACTIONS, Action

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

EVENTS = "text/event-stream"
"""The answer of an operation that is a stream of events."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route: what it takes, what it answers, who may call it, and the function that does it."""

    method: Method
    path: str
    """`/v1/threads/{thread_id}`: a name in braces stands for one segment."""
    summary: str
    """What it does, in a sentence."""
    action: Action | None
    """What the principal must be allowed to do; None for a public one only."""
    owner: OwnerRule
    handle: Callable[[Call], Awaitable[Response]]
    query: type[msgspec.Struct] | None = None
    """The parameters of the query, as the fields of a struct. Fields that the path names, and
    `now`, are not parameters."""
    body: type[Body] | None = None
    """The same for the fields of the body."""
    form: type[msgspec.Struct] | None = None
    """The same for the fields of the form that a page of the dashboard sends as the body."""
    body_is_optional: bool = False
    """Nothing needs to be in the body, so there may be none."""
    answers: Mapping[int, Any] = msgspec.field(default_factory=lambda: {204: None})
    """The type of the answer by its status; None: it has no body. `EVENTS`: a stream."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Headers that it looks at, with what they mean."""
    is_about_browser: bool = False
    """It changes cookies only, and no store: a server that only reads does it, too."""
    details: str = ""
    """What else to know, for the reference."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the parameters of the path, in their order."""
        return _ids_of(self.path)

    @property
    def parameters(self) -> Parameters | None:
        """How the query is read; None if there is none."""
        return None if self.query is None else parameters_of(self.query, self.ids)

    @property
    def is_safe(self) -> bool:
        """Return whether it changes nothing."""
        return self.method == "GET"


@cache
def _ids_of(path: str) -> tuple[str, ...]:
    return tuple(each[1:-1] for each in path.split("/") if each.startswith("{"))


def check_operation(operation: Operation) -> None:
    """Refuse an operation that would leave open who may call it.

    Raises:
        ValueError: it has no action or no owner rule, or these do not fit it.
    """
    name = f"{operation.method} {operation.path}"
    rule = operation.owner
    if not isinstance(rule, OwnerRule):
        raise ValueError(f"{name} has no owner rule")
    if rule.is_public != (operation.action is None):
        raise ValueError(f"{name} must have an action, or else be public")
    if operation.action is not None and operation.action not in ALL_ACTIONS:
        raise ValueError(f"{name} has the action {operation.action!r}, which is none")
    if not set(rule.ids) <= set(operation.ids):
        raise ValueError(f"{name} lacks {rule.ids}, by which its owner rule finds the owner")
    fields = () if operation.query is None else operation.query.__struct_fields__
    if rule.filters and "resource_id" not in fields:
        raise ValueError(f"{name} lacks resource_id in its query, by which its owner rule filters")
