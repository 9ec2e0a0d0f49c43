"""A check: one rule, the guarantee it belongs to, and the function that tests it."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from treadle.backends.base import Guarantee
from treadle.testing.subject import CapabilityName, FacetName

CheckFunction: TypeAlias = Callable[..., Awaitable[None]] | Callable[..., None]
"""Tests a rule. Its parameters name what the suite passes: a coroutine function may take `store`,
`clock` and `harness`, a plain function `subject` and `folder`. The others belong to its variant."""
GIVEN = frozenset({"store", "clock", "harness", "subject", "folder"})

CheckFunctionT = TypeVar("CheckFunctionT", bound=CheckFunction)


class Check(msgspec.Struct, frozen=True):
    """One rule, tested in one way."""

    facet: FacetName
    """The folder of the suite that has the check."""
    module: str
    """The file in that folder, without `.py`."""
    rule: str
    guarantee: Guarantee
    needs: frozenset[CapabilityName]
    """The capabilities without which the check means nothing."""
    function: CheckFunction
    variant: Mapping[str, Any]
    """Further arguments of `function`."""

    def __str__(self) -> str:
        return f"{self.facet}/{self.module}: {self.rule}"


class Checks:
    """The checks of one module, in the order in which they are written.

    The module is `…conformance.<facet>.<module>`, so that a failed check is found by its name.
    """

    def __init__(self, module_name: str) -> None:
        facet, self._module = module_name.split(".")[-2:]
        self._facet: FacetName = cast("FacetName", facet)
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def add(
        self,
        guarantee: Guarantee,
        *needs: CapabilityName,
        each: Mapping[str, Any] | Iterable[Any] | None = None,
    ) -> Callable[[CheckFunctionT], CheckFunctionT]:
        """Add a function as a check; its name is the rule. `each` adds one check per variant.

        A variant fills the parameters that the suite does not pass; a tuple fills several.
        """

        def add(function: CheckFunctionT) -> CheckFunctionT:
            # "the_run_s_thread" is the rule "the run's thread"
            rule = re.sub(r"_s(?=_|$)", "'s", function.__name__).replace("_", " ")
            names = [name for name in inspect.signature(function).parameters if name not in GIVEN]
            for label, values in _variants(each):
                arguments = values if isinstance(values, tuple) and len(names) > 1 else (values,)
                check = Check(
                    facet=self._facet,
                    module=self._module,
                    rule=f"{rule}: {label}" if label else rule,
                    guarantee=guarantee,
                    needs=frozenset(needs),
                    function=function,
                    variant=dict(zip(names, arguments, strict=True)) if names else {},
                )
                self._checks.append(check)
            return function

        return add


def _variants(each: Mapping[str, Any] | Iterable[Any] | None) -> list[tuple[str, Any]]:
    if each is None:
        return [("", ())]
    if isinstance(each, Mapping):
        return list(each.items())
    return [(str(value), value) for value in each]
