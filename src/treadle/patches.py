"""Patches: changes to a thread's state, as operations.

from treadle import ThreadChangeSet, patches

patch = patches.track(patches.Set(("order", "status"), "shipped"), source="shop")
await store.threads.append("t1", ThreadChangeSet(patches=(patch,)))
"""

from treadle.core.patches import (
    Append,
    Decrement,
    Delete,
    Increment,
    Insert,
    LatticeMerge,
    MergeObject,
    Op,
    Patch,
    Path,
    Remove,
    Set,
    TrackedPatch,
    track,
)
from treadle.core.patching import apply_patch, apply_patches

__all__ = [
    "Append",
    "Decrement",
    "Delete",
    "Increment",
    "Insert",
    "LatticeMerge",
    "MergeObject",
    "Op",
    "Patch",
    "Path",
    "Remove",
    "Set",
    "TrackedPatch",
    "apply_patch",
    "apply_patches",
    "track",
]
