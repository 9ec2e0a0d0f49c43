"""Reading sessions: queries from one snapshot, and pages of what is longer than one."""

from collections.abc import Iterable
from typing import NamedTuple

from google.adk.sessions.base_session_service import GetSessionConfig

from treadle import (
    Document,
    DocumentPage,
    MessagePage,
    Store,
    StoredMessage,
    ThreadHead,
)
from treadle.integrations._document_pages import PAGE, Key, each_document, undamaged
from treadle.integrations._last_messages import newest_page, older_pages
from treadle.integrations.google_adk._events import is_event
from treadle.integrations.google_adk._keys import (
    APP_STATE,
    SessionKeys,
    app_collection,
    user_collection,
    user_state,
)
from treadle.queries import ListDocuments, ListMessages, LoadDocuments, LoadThread


class Loaded(NamedTuple):
    """All that a store has of a session."""

    head: Document
    messages: list[StoredMessage]
    app_state: list[Document]
    user_state: list[Document]
    own_state: list[Document]


async def load(store: Store, keys: SessionKeys, config: GetSessionConfig | None) -> Loaded | None:
    """Read a session; None if it does not exist.

    It takes one round trip, unless more than 200 of many events are asked for, or a scope has more
    than 200 keys of state. If the session changes while these are read, it is read again.

    Raises:
        NotFound: its thread does not exist.
        CorruptRecord: a document cannot be read.
    """
    users = user_collection(keys.app)
    find_head = LoadDocuments(collection=users, keys=(keys.head,))
    scopes = (
        _first_page(app_collection(keys.app), APP_STATE),
        _first_page(users, user_state(keys.user)),
        _first_page(users, keys.head),
    )
    while True:
        (head,), found, *pages = await store.read(find_head, _events(keys, config), *scopes)
        if head is None or found is None:
            return None
        states = [await _complete(store, *each) for each in zip(scopes, pages, strict=True)]
        older = await _older_events(store, keys, found, config)
        if older or any(page.has_more for page in pages):
            [[now]] = await store.read(find_head)
            if now is None or now.version != head.version:
                continue
        return Loaded(head, older + _messages(found, config), *states)


async def every(store: Store, *prefixes: tuple[str, Key]) -> list[list[Document]]:
    """Read all documents below some prefixes, each of which is in a collection.

    Raises:
        CorruptRecord: one cannot be read.
    """
    queries = [_first_page(*each) for each in prefixes]
    pages = await store.read(*queries)
    return [await _complete(store, *each) for each in zip(queries, pages, strict=True)]


async def last_event(store: Store, keys: SessionKeys) -> tuple[Document | None, MessagePage]:
    """Read the head of a session, and its last event.

    Raises:
        NotFound: its thread does not exist.
    """
    find_head = LoadDocuments(collection=user_collection(keys.app), keys=(keys.head,))
    (head,), page = await store.read(find_head, newest_page(keys.thread_id, 1))
    return head, page


def _first_page(collection: str, prefix: Key) -> ListDocuments:
    return ListDocuments(collection=collection, prefix=prefix, limit=PAGE)


async def _complete(store: Store, query: ListDocuments, page: DocumentPage) -> list[Document]:
    """Return the documents of a page and of those after it; a state with holes is refused."""
    found = [*undamaged(query.collection, page)]
    if page.has_more:
        further = each_document(
            store.documents, query.collection, query.prefix, after=page.next_cursor
        )
        found += [document async for document in further]
    return found


def _events(keys: SessionKeys, config: GetSessionConfig | None) -> ListMessages | LoadThread:
    """Return the query for the events of a session: the first page of the newest, or all."""
    count = None if config is None else config.num_recent_events
    if count is None:
        return LoadThread(thread_id=keys.thread_id)
    return newest_page(keys.thread_id, count)


async def _older_events(
    store: Store,
    keys: SessionKeys,
    found: ThreadHead | MessagePage,
    config: GetSessionConfig | None,
) -> list[StoredMessage]:
    """Return the events in front of a page that were asked for, too, oldest first."""
    count = None if config is None else config.num_recent_events
    if count is None or not isinstance(found, MessagePage) or not found.has_more:
        return []
    older: list[StoredMessage] = []
    missing, before = count - _count_events(found.messages), found.messages[-1].cursor
    while missing > 0 and before > 0:  # an event may be several messages
        pages = await store.read(*older_pages(keys.thread_id, missing, before))
        read = [each for page in pages for each in page.messages]
        older += read
        missing, before = missing - _count_events(read), read[-1].cursor
    return older[::-1]


def _count_events(messages: Iterable[StoredMessage]) -> int:
    return sum(map(is_event, messages))


def _messages(
    found: ThreadHead | MessagePage, config: GetSessionConfig | None
) -> list[StoredMessage]:
    """Return the messages that were asked for, oldest first."""
    if not isinstance(found, MessagePage):
        return [*_stored(found)]
    count = None if config is None else config.num_recent_events
    return [*found.messages[:count]][::-1]  # a page has one message at least


def _stored(head: ThreadHead) -> Iterable[StoredMessage]:
    times = head.message_times
    for cursor, message in enumerate(head.thread.messages):
        time = times[cursor] if cursor < len(times) else None
        yield StoredMessage(cursor=cursor, message=message, committed_at=time)
