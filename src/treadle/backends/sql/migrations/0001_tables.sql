-- Threads. The row that every append updates is small. Body and state are apart: only a snapshot or
-- a save writes them again. The time of a thread that has none is -1, so that indexes sort it.
CREATE TABLE threads (
    thread_key INTEGER PRIMARY KEY,
    thread_id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    patch_count INTEGER NOT NULL,
    resource_id TEXT,
    parent_thread_id TEXT
);
CREATE INDEX threads_of_resource ON threads (resource_id, thread_id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX threads_by_creation ON threads (created_at, thread_id);
CREATE INDEX threads_of_resource_by_creation ON threads (resource_id, created_at, thread_id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX threads_of_parent ON threads (parent_thread_id, thread_id)
    WHERE parent_thread_id IS NOT NULL;

-- What listings by the time of the last change are sorted by. It is apart, because an append changes
-- it: no index of threads has to be written again.
CREATE TABLE thread_times (
    thread_key INTEGER PRIMARY KEY,
    changed_at INTEGER NOT NULL,
    changed_id TEXT NOT NULL,
    owner TEXT
);
CREATE INDEX thread_times_by_update ON thread_times (changed_at, changed_id);
CREATE INDEX thread_times_of_owner ON thread_times (owner, changed_at, changed_id)
    WHERE owner IS NOT NULL;

CREATE TABLE thread_bodies (
    thread_key INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    state TEXT NOT NULL
);

CREATE TABLE messages (
    thread_key INTEGER NOT NULL,
    position INTEGER NOT NULL,
    committed_at INTEGER,
    message_id TEXT,
    visibility TEXT NOT NULL,
    run_id TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_key, position)
);
CREATE INDEX messages_by_id ON messages (thread_key, message_id)
    WHERE message_id IS NOT NULL;
CREATE INDEX messages_of_run ON messages (thread_key, run_id, position)
    WHERE run_id IS NOT NULL;

-- The messages that truncations removed, for the deltas before. `version` is the truncation's.
CREATE TABLE removed_messages (
    thread_key INTEGER NOT NULL,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    committed_at INTEGER,
    message_id TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_key, position, version)
);

CREATE TABLE patches (
    thread_key INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_key, position)
);

-- The change set that led to each version. Its messages are named by the positions that they got.
CREATE TABLE deltas (
    thread_key INTEGER NOT NULL,
    version INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (thread_key, version)
) WITHOUT ROWID;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL,
    parent_run_id TEXT,
    source_mailbox_entry_id TEXT,
    status TEXT NOT NULL,
    origin TEXT NOT NULL,
    termination_code TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX runs_by_age ON runs (created_at, run_id);
CREATE INDEX runs_of_thread ON runs (thread_id, created_at, run_id);
CREATE INDEX runs_of_parent ON runs (parent_run_id, created_at, run_id)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_in_status ON runs (status, created_at, run_id);
-- Its condition is an expression, so that PostgreSQL takes no other index of active runs instead.
CREATE INDEX runs_of_entry ON runs (source_mailbox_entry_id)
    WHERE status || '' <> 'done';
CREATE INDEX runs_active ON runs (thread_id, created_at, run_id)
    WHERE status <> 'done';

-- What searches for runs are sorted by. It is apart, because an append changes it, and has the owner of
-- the thread.
CREATE TABLE run_times (
    run_id TEXT PRIMARY KEY,
    of_thread TEXT NOT NULL,
    in_status TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    owner TEXT
);
CREATE INDEX run_times_by_update ON run_times (in_status, changed_at, run_id);
CREATE INDEX run_times_of_thread ON run_times (of_thread, in_status, changed_at, run_id);
CREATE INDEX run_times_of_owner ON run_times (owner, in_status, begun_at, run_id)
    WHERE owner IS NOT NULL;
CREATE INDEX run_times_of_owner_by_update ON run_times (owner, in_status, changed_at, run_id)
    WHERE owner IS NOT NULL;

-- Mailboxes. `lease_until` is the latest end of a lease on its entries, NULL if none is claimed.
-- `kept_priority` is the highest priority of a retry that keeps its order, NULL if there is none. `pause_ends` is the
-- end of a pause, until a claim has found that it is over, and the largest integer if it has none.
CREATE TABLE mailboxes (
    mailbox_id TEXT PRIMARY KEY,
    current_generation INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_turn INTEGER NOT NULL,
    paused_at INTEGER,
    paused_until INTEGER,
    pause_reason TEXT,
    extra TEXT,
    lease_until INTEGER,
    pause_ends INTEGER,
    kept_priority INTEGER
);
CREATE INDEX mailboxes_held ON mailboxes (lease_until)
    WHERE lease_until IS NOT NULL AND pause_ends IS NULL;
CREATE INDEX mailboxes_paused ON mailboxes (pause_ends)
    WHERE pause_ends IS NOT NULL;
CREATE INDEX mailboxes_with_pause ON mailboxes (COALESCE(paused_until, 9223372036854775807))
    WHERE paused_at IS NOT NULL;
CREATE INDEX mailboxes_by_update ON mailboxes (updated_at, mailbox_id);

-- Queue heads: for each mailbox, priority and kind, the waiting entry that comes first. Entries of kind
-- 0 are due whatever the clock says, those of 1 are retries that keep their order, and those of 2 are
-- due at a time. A head is blocked while an entry of its mailbox is claimed, while that is paused, and
-- behind a retry that keeps its order. A claim reads heads in their order, so its cost depends neither on the depth nor on
-- the number of mailboxes.
CREATE TABLE queue_heads (
    mailbox_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    turn INTEGER,
    available_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    blocked INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id, priority, kind)
) WITHOUT ROWID;
CREATE INDEX queue_heads_ready
    ON queue_heads (priority, kind, available_at, created_at, entry_id, mailbox_id)
    WHERE blocked = 0;

CREATE TABLE entries (
    entry_id TEXT PRIMARY KEY,
    mailbox_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    priority INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    status TEXT NOT NULL,
    available_at INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    last_error TEXT,
    last_traceback TEXT,
    claim_token TEXT,
    claimed_by TEXT,
    lease_until INTEGER,
    turn INTEGER,
    closes_runs INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    kind INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_queued
    ON entries (mailbox_id, priority, kind, turn, available_at, created_at, entry_id)
    WHERE status = 'queued';
CREATE INDEX entries_claimed ON entries (mailbox_id, lease_until)
    WHERE status = 'claimed';
CREATE INDEX entries_ended ON entries (ended_at)
    WHERE ended_at IS NOT NULL;
CREATE INDEX entries_by_age ON entries (created_at, entry_id);
CREATE INDEX entries_of_mailbox ON entries (mailbox_id, created_at, entry_id);
CREATE INDEX entries_in_status ON entries (status, created_at, entry_id);
CREATE INDEX entries_unfinished_of_mailbox ON entries (mailbox_id, created_at, entry_id)
    WHERE ended_at IS NULL; -- not by status, so that a claim leaves it alone
CREATE INDEX entries_stopped_of_mailbox ON entries (mailbox_id, status, created_at, entry_id)
    WHERE ended_at IS NOT NULL AND status <> 'accepted'; -- SQLite builds a table for IN, with each write
-- What is queued, by when it is due: an entry is in one of these three indexes.
CREATE INDEX entries_undelayed ON entries (available_at, entry_id)
    WHERE kind = 0 AND ended_at IS NULL; -- the same
CREATE INDEX entries_scheduled ON entries (available_at, entry_id)
    WHERE kind <> 0 AND attempt_count = 0 AND status = 'queued';
CREATE INDEX entries_retrying ON entries (available_at, entry_id)
    WHERE kind <> 0 AND attempt_count > 0 AND status = 'queued';

-- The part of an entry that neither a claim nor its end changes.
CREATE TABLE payloads (
    entry_id TEXT PRIMARY KEY,
    mailbox_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    sender_id TEXT,
    dedupe_key TEXT,
    headers TEXT,
    extra TEXT,
    payload TEXT NOT NULL
);
CREATE INDEX payloads_by_dedupe_key ON payloads (mailbox_id, dedupe_key)
    WHERE dedupe_key IS NOT NULL;

-- Documents, by their collection and the joined parts of their keys.
CREATE TABLE documents (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    extra TEXT,
    value TEXT NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX documents_expiring ON documents (expires_at)
    WHERE expires_at IS NOT NULL;
