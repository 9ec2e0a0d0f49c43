"""The reference's scenarios: every call has its result, and the same documents are left."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_documents
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.recorded import SCENARIOS
from treadle.testing._harness.recorded.replay import compare_files, read, replay
from treadle.testing.clock import TickingClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each={path.stem: path for path in SCENARIOS})
async def the_calls_of_a_scenario_go_as_with_the_reference(harness: Harness, path: Path) -> None:
    calls, files = read(path)
    clock = TickingClock()
    store = await harness.open_other(clock)
    comparison = await replay(store, clock, calls)
    compare_files(comparison, await read_documents(store), files)
