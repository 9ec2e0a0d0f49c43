"""URLs: which ones are understood, which are refused, and that none is shown with its password."""

import re
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import treadle
from treadle import InvalidValue, StoreUnavailable
from treadle.backends.postgres._statements import Queries
from treadle.backends.postgres.location import Location, parse_location
from treadle.backends.postgres.schema import migrate
from treadle.backends.sql.program import Read, Statement, Write
from treadle.backends.sql.tables import PLAIN_WRITES
from treadle.backends.urls import without_password

SECRET = "s3cret"


def meant(url: str) -> dict[str, Any]:
    """The parameters that libpq gets."""
    return dict(conninfo_to_dict(parse_location(url).conninfo))


def refusal(url: str) -> str:
    with pytest.raises(InvalidValue) as refused:
        parse_location(url)
    assert refused.value.where == "url"
    assert refused.value.__cause__ is None  # libpq's own words may hold a password
    return refused.value.reason


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://", {}),
        ("postgresql:///agents", {"dbname": "agents"}),
        ("postgresql:///agents?host=/run/pg", {"dbname": "agents", "host": "/run/pg"}),
        ("postgresql://%2Frun%2Fpg/agents", {"dbname": "agents", "host": "/run/pg"}),
        ("postgresql://h", {"host": "h"}),
        ("postgresql://h:6432/agents", {"host": "h", "port": "6432", "dbname": "agents"}),
        ("postgresql://u@h/", {"user": "u", "host": "h"}),
        ("postgresql://u:@h/a", {"user": "u", "host": "h", "dbname": "a"}),
        ("postgres://u:p@h/a", {"user": "u", "password": "p", "host": "h", "dbname": "a"}),
        ("PostgreSQL://u:p@h/a", {"user": "u", "password": "p", "host": "h", "dbname": "a"}),
        ("postgresql://h1:1,h2:2,h3/a", {"host": "h1,h2,h3", "port": "1,2,", "dbname": "a"}),
        (
            "postgresql://[::1]:1,[fe80::2]:2/a",
            {"host": "::1,fe80::2", "port": "1,2", "dbname": "a"},
        ),
    ],
)
def test_every_form_of_url_that_libpq_knows_is_understood(
    url: str, expected: dict[str, Any]
) -> None:
    assert meant(url) == expected


def test_parameters_of_libpq_pass_through_unchanged() -> None:
    given = meant(
        "postgresql://h1,h2/a?target_session_attrs=read-write&sslmode=require&schema=mine"
        "&options=-c%20statement_timeout%3D9&application_name=a+b&connect_timeout=3"
    )
    assert given["target_session_attrs"] == "read-write"
    assert given["sslmode"] == "require"
    assert given["options"] == "-c statement_timeout=9"
    assert given["application_name"] == "a+b"
    assert given["connect_timeout"] == "3"
    assert "schema" not in given


@pytest.mark.parametrize("password", ["a+b", "a#b", "a?b", "a:b", "%40%2F%25%3A%23", "p%20w"])
def test_a_password_means_what_it_means_to_libpq(password: str) -> None:
    url = f"postgresql://u:{password}@h/a"
    assert meant(url)["password"] == conninfo_to_dict(url)["password"]
    assert (meant(url)["user"], meant(url)["host"]) == ("u", "h")


def test_our_own_parameters_are_not_given_to_libpq() -> None:
    location = parse_location(
        "postgres://h/a?schema=agents_1&table_prefix=x_&prepared_statements=off&listen=off"
    )
    assert location == Location("postgresql://h/a", "agents_1", "x_", "off", "off")
    assert parse_location("postgresql://h/a") == Location(
        "postgresql://h/a", "treadle", "", "on", "on"
    )
    assert parse_location("postgresql://h/a?sch%65ma=b").schema == "b"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Agents",
        "1st",
        "a-b",
        "a.b",
        "a b",
        "ä",
        "a" * 41,
        "a%00",
        "a%0A",
        'a"; DROP SCHEMA public CASCADE; --',
        "a%22%3B%20DROP%20SCHEMA%20public%20CASCADE%3B%20--",
        "a'b",
        "pg_treadle",
        "{0.name}",
        "%25s",
    ],
)
def test_a_schema_is_a_plain_name(name: str) -> None:
    assert refusal(f"postgresql://h/a?schema={name}").startswith("schema=")


@pytest.mark.parametrize(
    "prefix", ["X_", "1_", "a-", "a" * 25, 'x"', "x%22.%22y", "x%3B", "x%27", "x--", "x%20"]
)
def test_a_table_prefix_is_the_beginning_of_a_plain_name(prefix: str) -> None:
    assert refusal(f"postgresql://h/a?table_prefix={prefix}").startswith("table_prefix=")


@pytest.mark.parametrize("name", ["prepared_statements", "listen"])
@pytest.mark.parametrize("value", ["", "ON", "true", "1", "off;"])
def test_a_switch_is_on_or_off(name: str, value: str) -> None:
    assert refusal(f"postgresql://h/a?{name}={value}") == f"{name} is 'on' or 'off', not {value!r}"


@pytest.mark.parametrize("name", ["schemaa", "Schema", "prepared_statement", "conninfo", "sslmod"])
def test_an_unknown_parameter_is_named(name: str) -> None:
    assert repr(name) in refusal(f"postgresql://u:{SECRET}@h/a?{name}=x")


@pytest.mark.parametrize("url", ["postgresql:agents", "postgresql:/agents", "postgres:", "agents"])
def test_a_text_that_is_no_url_gets_an_example_of_one(url: str) -> None:
    assert "postgresql://user@host/database" in refusal(url)


@pytest.mark.parametrize(
    "url", ["postgresql://h\0/a", "postgresql://h/a%00", "postgresql://h/a?application_name=\0"]
)
def test_nul_is_refused(url: str) -> None:
    assert "NUL" in refusal(url)


@pytest.mark.parametrize("url", ["postgresql://h/\ud800", "postgresql://h/%ED%A0%80"])
def test_a_url_is_utf_8(url: str) -> None:
    assert "not UTF-8" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:a/{SECRET}@h/a",
        f"postgresql://u:{SECRET}/@h/a",
        f"postgresql://u:a@{SECRET}@h/a",
        f"postgresql://u:{SECRET}%zz@h/a",
        f"postgresql://u:{SECRET}@h:port/a",
        f"postgresql://u:{SECRET}@[::1]x/a",
        f"postgresql://u:{SECRET}@[::1/a",
        f"postgresql://h/a?password=x&{SECRET}",
        f"postgresql://h/a?password={SECRET}%zz",
    ],
)
def test_an_unreadable_url_is_refused_without_its_password(url: str) -> None:
    reason = refusal(url)
    assert SECRET not in reason
    assert "%40" in reason  # how a password with such characters is written


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@h/a", "postgresql://u:***@h/a"),
        (f"postgres://u:{SECRET}@h1,h2/a?schema=b", "postgres://u:***@h1,h2/a?schema=b"),
        (f"postgresql://h/a?password={SECRET}&schema=b", "postgresql://h/a?password=***&schema=b"),
        (f"postgresql://h/a?sslpassword={SECRET}", "postgresql://h/a?sslpassword=***"),
        (f"postgresql://h/a?scram_client_key={SECRET}", "postgresql://h/a?scram_client_key=***"),
        (f"postgresql://h/a?scram_server_key={SECRET}", "postgresql://h/a?scram_server_key=***"),
        (f"postgresql://h/a?%70assword={SECRET}&x=%20", "postgresql://h/a?%70assword=***&x=%20"),
        (f"postgresql://h/a?x='&password={SECRET}'", "postgresql://h/a?x='&password=***"),
        (f"postgresql://h:1/a?user=u&password={SECRET}@", "postgresql://h:1/a?user=u&password=***"),
        (f"postgresql://u:a/{SECRET}@h/a", "postgresql://u:***@h/a"),
        (f"postgresql://u:a@{SECRET}@h/a", "postgresql://u:***@h/a"),
        (f"postgresql://u:?{SECRET}#@h/a", "postgresql://u:***@h/a"),
        (f"mysql://u:{SECRET}@h/a", "mysql://u:***@h/a"),
        ("postgresql://u@h:1/a?schema=b", "postgresql://u@h:1/a?schema=b"),
        ("postgresql:///a?host=/tmp/x", "postgresql:///a?host=/tmp/x"),
        ("postgresql://postgres:@/a", "postgresql://postgres:@/a"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("./a:b@c", "./a:b@c"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_location_shows_everything_but_the_password() -> None:
    url = f"postgresql://u:{SECRET}@h/a?sslmode=require&password={SECRET}&schema=b&table_prefix=x_"
    location = parse_location(url)
    shown = "postgresql://u:***@h/a?sslmode=require&password=***&schema=b&table_prefix=x_"
    assert str(location) == shown
    assert SECRET not in repr(location)
    assert str(parse_location("postgresql://h/a?schema=treadle")) == "postgresql://h/a"


async def test_a_wrong_parameter_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidValue, match="schema='A'"):
        treadle.open_store("postgresql://nowhere.invalid/a?schema=A")


async def test_an_error_of_the_server_does_not_show_the_password() -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:1/a?connect_timeout=2&schema=b"
    with pytest.raises(StoreUnavailable) as refused:
        async with treadle.open_store(url):
            pass
    assert "postgresql://u:***@127.0.0.1:1/a?connect_timeout=2&schema=b" in str(refused.value)
    assert isinstance(refused.value.__cause__, psycopg.OperationalError)
    assert SECRET not in f"{refused.value!r} {refused.value.__cause__}"


async def test_every_way_to_write_a_url_finds_the_store(url: str) -> None:
    parts = conninfo_to_dict(parse_location(url).conninfo)
    schema = parse_location(url).schema
    host = str(parts["host"]).replace("/", "%2F")
    async with treadle.open_store(url, migrate=True) as store:
        await store.threads.create(treadle.Thread(id="t"))
    for other in (
        f"postgres:///{parts['dbname']}?host={host}&user={parts['user']}&schema={schema}",
        f"postgresql://{parts['user']}@{host}/{parts['dbname']}?schema={schema}&sslmode=prefer",
        f"postgresql://{parts['user']}:x@127.0.0.1:1,{host}:5432/{parts['dbname']}?schema={schema}",
    ):
        async with treadle.open_store(other) as store:
            assert (await store.threads.list()).items == ("t",)


def sort_of(statement: str) -> str:
    """A column by which a listing may be sorted."""
    sorts = {
        "list_mailbox_summaries": "mailbox_id",
        "search_runs": "run_id",
        "search_run_times": "run_id",
    }
    return sorts.get(statement, "entry_id" if statement.startswith("search_") else "thread_id")


def conditions_of(statement: str) -> tuple[str, ...]:
    """What a statement cannot do without: claims of some mailboxes go one of two ways."""
    goes_a_way = {"lock_ready_among", "read_front_among", "read_skipped_among"}
    return ("by_mailbox",) if statement in goes_a_way else ()


def test_every_statement_is_valid_in_a_schema_whose_tables_have_a_prefix(
    postgres_url: str, new_schema: str
) -> None:
    """`Location.qualify` would spoil a statement that has a column or an alias named as a table."""
    location = parse_location(f"{postgres_url}&schema={new_schema}&table_prefix=x_")
    migrate(location)
    backends = files("treadle.backends")
    folders = (backends / "sql" / "queries", backends / "postgres" / "queries")
    names = {file.name.split(".")[0] for folder in folders for file in folder.iterdir()}
    statements: list[Statement] = [
        Read(name, {}, conditions=conditions_of(name), sort=(sort_of(name),))
        for name in sorted(names)
    ]
    statements += [Write(name, ()) for name in PLAIN_WRITES]
    with psycopg.connect(location.conninfo, autocommit=True) as connection:
        for statement in statements:
            text = Queries(location).of(statement).text
            values = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
            for number, value in enumerate(values, start=1):
                text = text.replace(f"%({value})s", f"${number}")
            connection.execute(f"PREPARE {statement.name} AS {text}".encode())


@pytest.mark.parametrize("seconds", ["", "abc", "1.5"])
def test_a_connect_timeout_that_is_no_number_is_refused(seconds: str) -> None:
    with pytest.raises(InvalidValue, match="connect_timeout is a whole number of seconds"):
        parse_location(f"postgresql://host/database?connect_timeout={seconds}")


LONG = Location("postgresql://", schema="s" * 40, table_prefix="customer_a")
SHORT = Location("postgresql://", schema="agents", table_prefix="a_")


@pytest.mark.parametrize("name", ["channel", "live_channel"])
@pytest.mark.parametrize("location", [LONG, SHORT], ids=["long", "short"])
def test_each_location_has_channels_of_its_own(location: Location, name: str) -> None:
    ours = getattr(location, name)
    assert len(ours) <= 63  # PostgreSQL would take no other
    for other in ("customer_b", "customer_a" + "_" * 14, ""):
        beside = Location("postgresql://", schema=location.schema, table_prefix=other)
        assert getattr(beside, name) != ours


def test_channels_that_fit_are_named_as_they_always_were() -> None:
    assert SHORT.channel == "treadle.agents.a_"
    assert SHORT.live_channel == "treadle-live.agents.a_"
