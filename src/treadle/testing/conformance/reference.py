"""The reference's scenarios: every call has its result, and the same documents are left."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing.clock import TickingClock
from treadle.testing.conformance.bench import Bench
from treadle.testing.conformance.check import Facet
from treadle.testing.contents import read_documents
from treadle.testing.vectors import SCENARIOS
from treadle.testing.vectors.scenarios import compare_files, read, replay

facet = Facet("history")


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each={path.stem: path for path in SCENARIOS})
async def the_calls_of_a_scenario_go_as_with_the_reference(bench: Bench, path: Path) -> None:
    calls, files = read(path)
    clock = TickingClock()
    store = await bench.open(clock, bench.elsewhere())
    comparison = await replay(store, clock, calls)
    compare_files(comparison, await read_documents(store), files)
