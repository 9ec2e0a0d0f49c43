"""Questions: listings and pages that ask for some of what there is."""

from functools import lru_cache
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from treadle import RunKey, RunStatus, Store, UsageKey
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.entry_groups import GROUPS
from treadle.core.mailbox_queries import EntryKey, MailboxKey
from treadle.core.mailboxes import EntryStatus
from treadle.core.queries import Query
from treadle.core.thread_summaries import ThreadKey
from treadle.testing._harness.strategies import commands, documents
from treadle.testing._harness.strategies.runs import run_ids, texts, thread_ids
from treadle.testing._harness.strategies.times import KEPT, nows, times


class Question(msgspec.Struct, frozen=True):
    """A method of the façade that reads, and what it is given."""

    part: str
    method: str
    arguments: dict[str, Any]

    async def ask(self, store: Store) -> Any:
        """What the store answers."""
        return await getattr(getattr(store, self.part), self.method)(**self.arguments)

    async def query(self) -> Query[Any]:
        """The query that the method makes."""
        recorder = _Recorder()
        await Question(self.part, self.method, self.arguments).ask(Store(recorder))
        return recorder.query


class _Recorder(MemoryBackend):
    """Keeps the query that it is asked."""

    query: Query[Any]

    async def read(self, query: Query[Any]) -> Any:
        self.query = query


class Pages(Question, frozen=True):
    """A listing with cursors, read to its end."""

    async def ask(self, store: Store) -> Any:
        """What all pages hold, and where they end."""
        pages = [await super().ask(store)]
        while pages[-1].next_cursor is not None:
            arguments = {**self.arguments, "after": pages[-1].next_cursor}
            pages.append(await Question(self.part, self.method, arguments).ask(store))
        return pages


offsets = st.sampled_from([0, 0, 1, 3, -1])
limits = st.sampled_from([50, 1, 2, 0])
counted = st.sampled_from([10_000, 1, 2, 0])
positions = st.none() | st.integers(-1, 8)
statuses = st.sampled_from(get_args(EntryStatus))
owners = st.sampled_from(["x", "y"])
agents = texts
page: dict[str, Any] = {"offset": offsets, "limit": limits}


def _question(part: str, method: str, **arguments: Any) -> st.SearchStrategy[Question]:
    return st.builds(
        Question, st.just(part), st.just(method), st.fixed_dictionaries({}, optional=arguments)
    )


def _about(part: str, method: str, **arguments: Any) -> st.SearchStrategy[Question]:
    return st.builds(Question, st.just(part), st.just(method), st.fixed_dictionaries(arguments))


def _pages(
    part: str, method: str, by: st.SearchStrategy[str], **arguments: Any
) -> st.SearchStrategy[Pages]:
    always = {"by": by, "order": st.sampled_from(["asc", "desc"]), "limit": limits}
    given = st.fixed_dictionaries(always, optional=arguments)
    return st.builds(Pages, st.just(part), st.just(method), given)


@lru_cache(KEPT)
def questions(now: int) -> st.SearchStrategy[Question]:
    """Any question; few of them ask for things that are not there."""
    return st.one_of(
        *_of_threads(),
        *_of_runs(now),
        *_of_mailboxes(now),
        *_of_documents(now),
    )


def _of_threads() -> list[st.SearchStrategy[Question]]:
    return [
        _question(
            "threads",
            "list",
            **page,
            resource_id=st.sampled_from(["x", "y"]),
            parent_thread_id=thread_ids,
        ),
        _pages(
            "threads",
            "list_summaries",
            st.sampled_from(get_args(ThreadKey)),
            resource_id=st.sampled_from(["x", "y"]),
            parent_thread_id=thread_ids,
            roots=st.booleans(),
            with_last_message=st.booleans(),
        ),
        _about(
            "threads",
            "list_messages",
            thread_id=thread_ids,
            after=positions,
            before=positions,
            limit=limits,
            order=st.sampled_from(["asc", "desc"]),
            visibility=st.sampled_from([None, "all", "internal"]),
            run_id=st.none() | run_ids,
        ),
        _about(
            "threads",
            "load",
            thread_id=thread_ids,
            version=st.none() | st.integers(0, 8),
        ),
        _about(
            "threads",
            "list_deltas",
            thread_id=thread_ids,
            after_version=st.integers(-1, 8),
            limit=st.none() | st.integers(-1, 4),
        ),
    ]


def _of_runs(now: int) -> list[st.SearchStrategy[Question]]:
    about = times(now)
    return [
        _question(
            "runs",
            "list",
            **page,
            thread_id=thread_ids,
            parent_run_id=run_ids,
            status=st.sampled_from(["running", "waiting", "done"]),
            origin=st.sampled_from(["user", "subagent"]),
            termination_code=st.just("error"),
            created_at_from=about,
            created_at_to=about,
            updated_at_from=about,
            updated_at_to=about,
        ),
        _about("runs", "find_active", thread_id=thread_ids),
        _pages(
            "runs",
            "search",
            st.sampled_from(get_args(RunKey)),
            thread_id=thread_ids,
            resource_id=owners,
            parent_run_id=run_ids,
            agent_id=agents,
            origin=st.sampled_from(["user", "subagent"]),
            statuses=st.lists(st.sampled_from(get_args(RunStatus)), max_size=3),
            asks=st.booleans(),
        ),
        _question("runs", "count", thread_id=thread_ids, resource_id=owners),
        st.builds(
            Question,
            st.just("runs"),
            st.just("usage"),
            st.fixed_dictionaries(
                {"by": st.sampled_from(get_args(UsageKey))},
                optional={
                    "since": about,
                    "until": about,
                    "thread_id": thread_ids,
                    "resource_id": owners,
                    "agent_id": agents,
                    "limit": st.sampled_from([1, 2, 9, 0]),
                },
            ),
        ),
    ]


def _of_mailboxes(now: int) -> list[st.SearchStrategy[Question]]:
    about = times(now)
    return [
        _question(
            "mailboxes",
            "list_entries",
            **page,
            mailbox_id=commands.mailbox_ids,
            status=statuses,
            origin=st.sampled_from(["external", "internal"]),
        ),
        _question("mailboxes", "list", **page),
        _about("mailboxes", "explain", entry_id=commands.common_entry_ids, now=nows(now)),
        _about(
            "mailboxes",
            "load_claims",
            entry_ids=st.lists(commands.new_entry_ids, max_size=4),
        ),
        _pages(
            "mailboxes",
            "list_summaries",
            st.sampled_from(get_args(MailboxKey)),
            counted=counted,
        ),
        _pages(
            "mailboxes",
            "search_entries",
            st.sampled_from(get_args(EntryKey)),
            mailbox_id=commands.mailbox_ids,
            statuses=st.lists(statuses, max_size=3),
            group=st.sampled_from(GROUPS),
            error=st.sampled_from(["", "e", "n", "supers"]),
            claimed_by=st.sampled_from(["w", "worker"]),
            origin=st.sampled_from(["external", "internal"]),
            since=about,
            now=nows(now),
        ),
        _question("mailboxes", "report", mailbox_id=commands.mailbox_ids, now=nows(now)),
        _question(
            "mailboxes",
            "count_groups",
            mailbox_id=commands.mailbox_ids,
            limit=counted,
            now=nows(now),
        ),
        _question("mailboxes", "errors", mailbox_id=commands.mailbox_ids, limit=counted),
        _question("mailboxes", "consumers", limit=counted, now=nows(now)),
    ]


def _of_documents(now: int) -> list[st.SearchStrategy[Question]]:
    about = times(now)
    return [
        _about(
            "documents",
            "load_many",
            collection=documents.collections,
            keys=st.lists(documents.keys, max_size=4),
            now=nows(now),
        ),
        _about(
            "documents",
            "list",
            collection=documents.collections,
            prefix=documents.prefixes,
            after=documents.ends,
            before=documents.ends,
            limit=limits,
            order=st.sampled_from(["asc", "desc"]),
            values=st.booleans(),
            now=nows(now),
        ),
        _question("documents", "list_expired", limit=limits, now=about),
        _question(
            "documents",
            "collections",
            prefix=st.sampled_from(["c", "c0", "é", "x"]),
            after=documents.collections,
            limit=limits,
            now=about,
        ),
    ]
