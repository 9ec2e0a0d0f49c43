"""Headers of a request, as its server has them: Starlette's mapping decodes every name again."""

from starlette.requests import Request


def values_of(request: Request, name: bytes) -> list[str]:
    """Return the values of a header, in their order; its name is in lower case."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def first_of(request: Request, name: bytes) -> str | None:
    """Return the first value of a header; None if there is none."""
    for key, value in request.scope["headers"]:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None
