"""A check: one rule, the guarantee it belongs to, and what tries it."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from treadle.backends.base import Guarantee

FacetName = Literal["threads", "runs", "mailboxes", "commit", "concurrency", "history"]
Need = Literal["durable", "shared", "notifies", "faults"]
"""A declared capability without which a check means nothing; `faults`: the fault hook."""

Try: TypeAlias = Callable[..., Awaitable[None]] | Callable[..., None]
"""What tries a rule. Its parameters say what it is given: `store`, `clock`, `bench` (one that is
awaited), or `subject` and `place` (one that is not), and then its variant."""
GIVEN = frozenset({"store", "clock", "bench", "subject", "place"})

TryT = TypeVar("TryT", bound=Try)


class Check(msgspec.Struct, frozen=True):
    """One rule, tried in one way."""

    facet: FacetName
    rule: str
    guarantee: Guarantee
    needs: frozenset[Need]
    attempt: Try
    variant: Mapping[str, Any]
    """Further arguments of `attempt`."""

    def __str__(self) -> str:
        return f"{self.facet}: {self.rule}"


class Facet:
    """The checks of one module, in the order in which they are written."""

    def __init__(self, name: FacetName) -> None:
        self._name: FacetName = name
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def check(
        self,
        guarantee: Guarantee,
        *needs: Need,
        each: Mapping[str, Any] | Iterable[Any] | None = None,
    ) -> Callable[[TryT], TryT]:
        """Add a function, whose name is the rule, as a check; `each` variant makes its own.

        A variant fills the parameters that the suite does not give; a tuple fills several.
        """

        def add(attempt: TryT) -> TryT:
            rule = re.sub(r"_s(?=_|$)", "'s", attempt.__name__).replace("_", " ")
            names = [name for name in inspect.signature(attempt).parameters if name not in GIVEN]
            for label, values in _variants(each):
                arguments = values if isinstance(values, tuple) and len(names) > 1 else (values,)
                check = Check(
                    facet=self._name,
                    rule=f"{rule}: {label}" if label else rule,
                    guarantee=guarantee,
                    needs=frozenset(needs),
                    attempt=attempt,
                    variant=dict(zip(names, arguments, strict=True)) if names else {},
                )
                self._checks.append(check)
            return attempt

        return add


def _variants(each: Mapping[str, Any] | Iterable[Any] | None) -> list[tuple[str, Any]]:
    if each is None:
        return [("", ())]
    if isinstance(each, Mapping):
        return list(each.items())
    return [(str(value), value) for value in each]
