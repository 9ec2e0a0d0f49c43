"""The tree of runs that a run belongs to: who started it, and what they and it have started."""

import msgspec

from treadle.core.run_queries import LoadRun, SearchRuns
from treadle.core.runs import RunRecord
from treadle.errors import NotFound
from treadle.http._owners import require_own_run
from treadle.store.store import Store

_LEVELS = 8
"""How far a tree is followed, upwards and downwards."""
_CHILDREN = 20
"""Most children of a run that are shown."""
_MOST = 100
"""From so many runs on, a tree is not followed further."""


class TreeRow(msgspec.Struct, kw_only=True):
    """A run of a tree."""

    run: RunRecord
    level: int
    """How far it is below the root."""
    has_more: bool = False
    """It may have more children than are shown."""


async def tree_of(store: Store, run: RunRecord, own: str | None) -> list[TreeRow]:
    """Return the tree that a run belongs to, each run before its children.

    Args:
        store: the store.
        run: the run.
        own: the owner to whom the runs must belong; None: they may be anybody's.
    """
    root = await _root_of(store, run, own)
    rows = {root.run_id: TreeRow(run=root, level=0)}
    children: dict[str, list[TreeRow]] = {}
    level = [rows[root.run_id]]
    while level and len(rows) < _MOST and level[0].level < 2 * _LEVELS:
        level = await _next_level(store, level, rows, children, own)
    for row in level:
        row.has_more = True
    return _in_order(rows[root.run_id], children)


async def _root_of(store: Store, run: RunRecord, own: str | None) -> RunRecord:
    """The run from which the tree is shown: the first ancestor, as far as it can be followed."""
    seen = {run.run_id}
    while run.parent_run_id is not None and len(seen) <= _LEVELS and run.parent_run_id not in seen:
        seen.add(run.parent_run_id)
        (parent,) = await store.read(LoadRun(run_id=run.parent_run_id))
        if parent is None or not await _may_see(store, parent, own):
            break
        run = parent
    return run


async def _may_see(store: Store, run: RunRecord, own: str | None) -> bool:
    if own is None:
        return True
    try:
        await require_own_run(store, run.run_id, own)
    except NotFound:
        return False
    return True


async def _next_level(
    store: Store,
    level: list[TreeRow],
    rows: dict[str, TreeRow],
    children: dict[str, list[TreeRow]],
    own: str | None,
) -> list[TreeRow]:
    """Read the children of all runs of a level; return those that were not seen before."""
    pages = await store.read(
        *(
            SearchRuns(parent_run_id=row.run.run_id, order="asc", limit=_CHILDREN, resource_id=own)
            for row in level
        )
    )
    found: list[TreeRow] = []
    for row, page in zip(level, pages, strict=True):
        row.has_more = page.next_cursor is not None
        new = [each for each in page.items if each.run_id not in rows]  # a parent may be a child
        below = [TreeRow(run=each, level=row.level + 1) for each in new]
        rows.update((each.run.run_id, each) for each in below)
        children[row.run.run_id] = below
        found += below
    return found


def _in_order(root: TreeRow, children: dict[str, list[TreeRow]]) -> list[TreeRow]:
    found: list[TreeRow] = []
    waiting = [root]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += reversed(children.get(row.run.run_id, []))
    return found
