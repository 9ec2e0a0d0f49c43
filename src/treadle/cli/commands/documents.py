"""`treadle documents`: list, show, put, delete and purge what agents know."""

import click
import msgspec

from treadle.cli.opening import change_store, read_store, write_store
from treadle.cli.options import duration, json_option, limit_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.input import read_input
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import time_text, write_fields, write_json, write_line, write_table
from treadle.cli.terminal.tables import Column, beginning
from treadle.clock import system_clock
from treadle.core.codec import to_plain
from treadle.core.documents import CollectionPage, Document, DocumentPage, Stored
from treadle.core.limits import PAGE
from treadle.errors import NotFound
from treadle.integrations.strict_json import read_json
from treadle.store.store import Store

_COLUMNS = (
    Column("key"),
    Column("version", right=True),
    Column("updated", whole=True),
    Column("expires", whole=True),
    Column("value"),
)
_COLLECTION = click.argument("collection")
_KEY = click.argument("key", metavar="KEY...", nargs=-1, required=True)


@click.group(
    "documents",
    cls=ExampleGroup,
    examples=(
        "treadle documents list",
        "treadle documents show memories ann notes",
    ),
)
def documents() -> None:
    """Look at what agents know, and change it.

    A document is a JSON value in a collection. Its key has one part or several.
    """


@documents.command(
    "list",
    examples=(
        "treadle documents list",
        "treadle documents list memories",
        "treadle documents list memories ann --limit 10",
        "treadle documents list memories --json | jq '.items[].key'",
    ),
)
@store_option()
@click.argument("collection", required=False)
@click.argument("prefix", metavar="[PREFIX]...", nargs=-1)
@limit_option
@json_option
def list_documents(
    collection: str | None, prefix: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List collections, or documents.

    With COLLECTION, its documents are listed; with PREFIX, those whose keys have more parts after
    these.

    --json: {"items": [names or documents], "has_more", "next_cursor"}.
    """
    if collection is None:
        _write_names(read_store(lambda store: _read_names(store, limit)), as_json=as_json)
    else:
        page = read_store(lambda store: _read_documents(store, collection, prefix, limit))
        _write_documents(page, as_json=as_json)


@documents.command(
    "show",
    examples=(
        "treadle documents show memories ann notes",
        "treadle documents show memories ann notes --json | jq .value",
    ),
)
@store_option()
@_COLLECTION
@_KEY
@json_option
def show_document(collection: str, key: tuple[str, ...], as_json: bool) -> None:
    """Show a document.

    --json: the document.
    """
    document = read_store(lambda store: store.documents.load(collection, key))
    if document is None:
        raise _missing(collection, key)
    if as_json:
        write_json(to_plain(document))
    else:
        write_fields(to_plain(document))


@documents.command(
    "put",
    examples=(
        """treadle documents put memories ann notes --value '{"likes": "tea"}'""",
        "treadle documents put memories ann notes < notes.json",
        "treadle documents put sessions ann --value 1 --expires-in 30d",
    ),
)
@store_option()
@_COLLECTION
@_KEY
@click.option("--value", metavar="JSON", help="The value; else it is read from standard input.")
@click.option("--expected", metavar="N", type=int, help="The version it must have; 0: none.")
@click.option(
    "--expires-in",
    type=duration,
    metavar="DURATION",
    help="How long until it expires, and counts as absent: 90s, 12h, 7d.  [default: never]",
)
@json_option
def put_document(
    collection: str,
    key: tuple[str, ...],
    value: str | None,
    expected: int | None,
    expires_in: int | None,
    as_json: bool,
) -> None:
    """Create or replace a document.

    --json: {"version", "created"}.
    """
    plain = read_json(read_input() if value is None else value, "value")

    async def put(store: Store) -> Stored:
        return await store.documents.put(
            collection, key, plain, expected=expected, expires_in_ms=expires_in
        )

    stored = write_store(put)
    if as_json:
        write_json(to_plain(stored))
    else:
        write_line(f"{'created' if stored.created else 'replaced'}, at version {stored.version}")


@documents.command(
    "delete",
    examples=(
        "treadle documents delete memories ann notes",
        "treadle documents delete memories ann notes --json",
    ),
)
@store_option()
@_COLLECTION
@_KEY
@json_option
def delete_document(collection: str, key: tuple[str, ...], as_json: bool) -> None:
    """Delete a document.

    --json: {"deleted": whether it existed}.
    """

    async def delete(store: Store) -> bool:
        return await store.documents.delete(collection, key)

    existed = change_store(delete)
    if as_json:
        write_json({"deleted": existed})
    elif existed:
        write_line("deleted")
    if not existed:
        raise _missing(collection, key)


@documents.command(
    "purge",
    examples=(
        "treadle documents purge",
        "treadle documents purge --older-than 30d --json",
    ),
)
@store_option()
@click.option(
    "--older-than",
    type=duration,
    metavar="DURATION",
    default="0s",
    show_default=True,
    help="Only documents that expired at least this long ago: 90s, 12h, 7d.",
)
@json_option
def purge_documents(older_than: int, as_json: bool) -> None:
    """Remove documents that have expired, from all collections.

    They count as absent already; this makes room, and takes them off the disk.

    --json: {"purged": N}.
    """
    before = max(system_clock() - older_than, 0)
    count = change_store(lambda store: store.purge_documents(before))
    if as_json:
        write_json({"purged": count})
    else:
        write_line(f"purged {counted(count, 'document')}")


async def _read_names(store: Store, limit: int) -> CollectionPage:
    names: tuple[str, ...] = ()
    while True:
        after = names[-1] if names else None
        page = await store.documents.collections(after=after, limit=min(limit - len(names), PAGE))
        names += page.items
        if not page.has_more or len(names) >= limit:
            return msgspec.structs.replace(page, items=names)


async def _read_documents(
    store: Store, collection: str, prefix: tuple[str, ...], limit: int
) -> DocumentPage:
    found: tuple[Document, ...] = ()
    unreadable: dict[str, None] = {}
    after: tuple[str, ...] | None = None
    left = limit
    while True:
        page = await store.documents.list(
            collection, prefix=prefix, after=after, limit=min(left, PAGE)
        )
        found += page.items
        unreadable |= dict.fromkeys(page.unreadable)
        after = page.next_cursor
        left -= PAGE
        if not page.has_more or left <= 0:
            return msgspec.structs.replace(page, items=found, unreadable=tuple(unreadable))


def _write_names(page: CollectionPage, *, as_json: bool) -> None:
    if as_json:
        write_json(to_plain(page))
        return
    write_table((Column("collection", whole=True),), [(name,) for name in page.items])
    if page.has_more:
        write_note("there are more; raise --limit")


def _write_documents(page: DocumentPage, *, as_json: bool) -> None:
    if as_json:
        write_json(to_plain(page))
        return
    write_table(_COLUMNS, list(map(_cells, page.items)))
    for name in page.unreadable:
        write_note(f"{name} cannot be read; see `treadle doctor`")
    if page.has_more:
        write_note("there are more; raise --limit")


def _cells(document: Document) -> tuple[str, ...]:
    return (
        " / ".join(document.key),
        str(document.version),
        time_text(document.updated_at),
        time_text(document.expires_at),
        beginning(msgspec.json.encode(document.value).decode()),
    )


def _missing(collection: str, key: tuple[str, ...]) -> NotFound:
    return NotFound("document", f"{collection}, {' / '.join(key)}")
