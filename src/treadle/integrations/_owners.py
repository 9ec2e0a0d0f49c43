"""The owner that an application names for a thread, and the one that the thread has."""

from treadle import InvalidValue, Store, Thread


async def lacks_owner(store: Store, thread: Thread) -> bool:
    """Return whether a thread is in the store without an owner, and `thread` names one.

    Raises:
        InvalidValue: the thread in the store has another owner.
    """
    if thread.resource_id is None:
        return False
    head = await store.threads.summary(thread.id)
    if head is None or head.resource_id == thread.resource_id:
        return False
    if head.resource_id is None:
        return True
    reason = f"the thread {thread.id!r} has another owner; take another id, or leave the owner out"
    raise InvalidValue("resource_id", reason)
