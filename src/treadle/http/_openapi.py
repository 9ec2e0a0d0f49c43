"""The OpenAPI 3.1 document, made from the operations."""

import copy
import json
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import msgspec
from starlette.responses import Response

import treadle
from treadle.core.codec import Json, Model
from treadle.core.ids import ID_SCHEMA
from treadle.http._call import Call
from treadle.http._input import Body, Fields, keeps_others, other_names_of, refused_fields
from treadle.http._operation import EVENTS, Operation
from treadle.http._owners import PUBLIC
from treadle.http._responses import JsonResponse
from treadle.http._settings import Limits

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The request is wrong: an id, a parameter, a field, or JSON.",
    "401": "It is not known who you are.",
    "403": "You may not do it, or the server does not let this request in.",
    "404": "It does not exist, or is another owner's.",
    "408": "The body did not arrive in time.",
    "409": "It is in conflict with what is stored, or with a claim.",
    "410": "This is not known any longer.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "429": "Too much is open at once.",
    "500": "A record is damaged, or the server failed.",
    "503": "The store is not available.",
}
_ERROR = {
    "type": "object",
    "description": "What went wrong; the data of the error is beside it.",
    "properties": {
        "error": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs."},
    },
    "required": ["error", "code"],
}


def openapi_operation(operations: Iterable[Operation]) -> Operation:
    """Return the operation that answers the description of the others."""
    operations = tuple(operations)

    @cache
    def described(limits: Limits) -> dict[str, Json]:
        return describe(operations, limits)

    async def handle(call: Call) -> Response:
        root = call.request.scope.get("root_path", "")
        return JsonResponse(
            json.dumps({**described(call.limits), "servers": [{"url": root or "/"}]}).encode()
        )

    return Operation(
        method="GET",
        path="/openapi.json",
        summary="Describe the API.",
        action=None,
        owner=PUBLIC,
        answers={200: dict[str, Any]},
        handle=handle,
    )


def describe(operations: Iterable[Operation], limits: Limits) -> dict[str, Json]:
    """Return the OpenAPI document of some operations, on a server with these limits."""
    operations = tuple(operations)
    schemas = _Schemas(operations, limits)
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(
            operation, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Treadle", "version": treadle.__version__},
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Error": _ERROR},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The JSON schemas of what operations take and answer."""

    def __init__(self, operations: Iterable[Operation], limits: Limits) -> None:
        found = {
            kind
            for operation in operations
            for kind in (operation.query, operation.body, *operation.answers.values())
            if kind not in (None, EVENTS)
        }
        kinds = sorted(found, key=str)
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
        models = {each.__name__: each for each in _all_subclasses(Model)}
        self._by_kind = dict(zip(kinds, schemas, strict=True))
        self.components = {
            name: _cleaned(schema, is_open=name in models and keeps_others(models[name]))
            for name, schema in components.items()
        }
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Fields):
                for field, limit in kind.most_items.items():
                    self.fields(kind)["properties"][field]["maxItems"] = getattr(limits, limit)

    def of(self, kind: Any) -> Json:
        """Return the schema of a type."""
        return self._by_kind[kind]

    def fields(self, kind: type[msgspec.Struct]) -> dict[str, Json]:
        """Return the schema of a struct with its fields."""
        return self.components[kind.__name__]


def _all_subclasses(kind: type[Model]) -> Iterable[type[Model]]:
    for each in kind.__subclasses__():
        yield each
        yield from _all_subclasses(each)


def _cleaned(schema: dict[str, Json], *, is_open: bool) -> dict[str, Json]:
    """The schema of a struct; unknown fields stand beside its own, and not in `<extra>`."""
    cleaned = copy.deepcopy(schema)
    cleaned.get("properties", {}).pop("<extra>", None)
    if is_open:
        cleaned.pop("additionalProperties", None)
    return cleaned


def _described(operation: Operation, schemas: _Schemas) -> dict[str, Json]:
    described: dict[str, Json] = {
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "description": f"{operation.details}\n\nOwner rule: {operation.owner.text}.".strip(),
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, schemas),
        "security": [] if operation.action is None else [{"bearer": []}],
    }
    if operation.action is not None:
        described["x-action"] = operation.action
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_is_optional,
            "content": {"application/json": {"schema": _body(operation, schemas)}},
        }
    return described


def operation_id(operation: Operation) -> str:
    """Return the name of an operation, such as `get_threads_thread_id`."""
    words = operation.path.replace("/v1/", "/").replace("{", "").replace("}", "")
    return operation.method.lower() + words.replace("/", "_").replace("-", "_").replace(".", "_")


def _parameters(operation: Operation, schemas: _Schemas) -> list[Json]:
    found: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **ID_SCHEMA}}
        for name in operation.ids
    ]
    if operation.query is not None and operation.parameters is not None:
        schema = schemas.fields(operation.query)
        required = schema.get("required", [])
        found += [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": _not_null(schema["properties"][name]),
            }
            for name in operation.parameters.shapes
        ]
    found += [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    return found


def _not_null(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema of a parameter, which is left out instead of being null."""
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if len(options) == 1:
        kept |= options[0]
    elif options:
        kept["anyOf"] = options
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return kept


def _body(operation: Operation, schemas: _Schemas) -> Json:
    """The schema of a body: without the fields that the path names or the server sets."""
    kind = cast("type[Body]", operation.body)
    schema = schemas.fields(kind)
    refused = refused_fields(kind, operation.ids)
    properties = {name: each for name, each in schema["properties"].items() if name not in refused}
    body: dict[str, Json] = {
        "type": "object",
        "properties": properties,
        "required": [name for name in schema.get("required", ()) if name not in refused],
    }
    for other, name in other_names_of(kind).items():
        properties[other] = properties[name]
        if name in body["required"]:
            body["required"].remove(name)
            body["anyOf"] = [{"required": [name]}]
        if {"required": [name]} in body.get("anyOf", ()):
            body["anyOf"].append({"required": [other]})
    if not keeps_others(kind):
        body["additionalProperties"] = False
    elif refused:
        body["propertyNames"] = {"not": {"enum": sorted(refused)}}
    return body


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Json]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Json] = {
        status: {"description": text, "content": error} for status, text in _ERRORS.items()
    }
    for status, kind in operation.answers.items():
        if kind is None:
            responses.setdefault(str(status), {"description": "Done."})
        elif kind == EVENTS:
            content: Json = {EVENTS: {"schema": {"type": "string"}}}
            responses[str(status)] = {"description": "A stream of events.", "content": content}
        else:
            content = {"application/json": {"schema": schemas.of(kind)}}
            responses[str(status)] = {"description": "Done.", "content": content}
    return responses
