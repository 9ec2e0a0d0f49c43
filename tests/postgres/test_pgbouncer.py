"""Behind PgBouncer in transaction mode: with the real program, where it is installed."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg import errors

from treadle import Message, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import connect
from treadle.backends.postgres.location import parse_location

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))
PGBOUNCER = shutil.which("pgbouncer")


@pytest.fixture
def bouncer(postgres_url: str) -> Iterator[int]:
    """The port of a pooler with two connections, which it gives out by transactions."""
    assert PGBOUNCER is not None
    (host,) = parse_qs(urlsplit(postgres_url).query)["host"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="treadle-bouncer-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npostgres = host={host} dbname=postgres user=postgres\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = 2\nunix_socket_dir =\nlogfile = {folder}/log\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    account = None
    if os.geteuid() == 0:  # it refuses to run as root
        owner = pwd.getpwuid(os.stat(host).st_uid)
        account = owner.pw_name
        for path in (folder, settings):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    process = subprocess.Popen([PGBOUNCER, str(settings)], user=account)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
async def test_stores_share_two_connections(bouncer: int, url: str, schema: str) -> None:
    async with open_store(url, migrate=True):
        pass
    pooled = (
        f"postgresql://postgres@127.0.0.1:{bouncer}/postgres"
        f"?schema={schema}&prepared_statements=off&listen=off"
    )
    async with open_store(pooled) as one, open_store(pooled) as two:
        for store in (one, two):
            await store.threads.create(Thread(id=f"t{store is one}"))
        await asyncio.gather(
            *(store.threads.append("tTrue", MESSAGE) for store in (one, two) for _ in range(50)),
            *(store.mailboxes.send(f"b{n}", n) for store in (one, two) for n in range(50)),
        )
        head = await two.threads.load("tTrue")
        assert head is not None
        assert head.version == 100
        claimed = await asyncio.gather(
            *(store.mailboxes.claim(limit=10, consumer="w") for store in (one, two) for _ in "1234")
        )
        entries = [entry for got in claimed for entry in got]
        assert len({entry.mailbox_id for entry in entries}) == len(entries) == 50
        await asyncio.gather(*(one.mailboxes.ack(entry) for entry in entries))
        assert (await two.mailboxes.count_entries()).accepted == 50
        waiting = asyncio.ensure_future(two.mailboxes.wait(20_000, mailbox_id="late"))
        await one.mailboxes.send("late", 1)
        await asyncio.wait_for(waiting, 15)


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
def test_nobody_carries_out_what_another_has_prepared(bouncer: int) -> None:
    """Both have prepared a statement, each on one of the servers; then one gets the other's."""
    location = parse_location(f"postgresql://postgres@127.0.0.1:{bouncer}/postgres")
    with connect(location) as one, connect(location) as two:
        one.send([Query("BEGIN"), Query("SELECT 'one'")])
        two.send([Query("BEGIN"), Query("SELECT 'two'")])
        one.rollback()
        two.rollback()  # the next client gets this one's server
        with pytest.raises(errors.InvalidSqlStatementName):
            one.send([Query("SELECT 'one'")])
