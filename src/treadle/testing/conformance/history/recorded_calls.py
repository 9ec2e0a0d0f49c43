"""Recorded calls: every call has the result that tirea gave, and the same documents are left."""

from treadle.backends.base import Guarantee
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_documents
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.recorded import SCENARIO_IDS, load_scenarios
from treadle.testing._harness.recorded.replay import compare_files, replay
from treadle.testing.clock import TickingClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=SCENARIO_IDS)
async def the_calls_of_a_scenario_have_the_results_of_tirea(
    harness: Harness, scenario_id: str
) -> None:
    scenario = load_scenarios()[scenario_id]
    clock = TickingClock()
    store = await harness.open_other(clock)
    comparison = await replay(store, clock, scenario.calls)
    compare_files(comparison, await read_documents(store), scenario.files)
