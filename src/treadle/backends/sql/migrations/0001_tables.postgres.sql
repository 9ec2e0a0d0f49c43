-- As 0001_tables.sql, for many concurrent writers. An update writes a new version of the whole row,
-- so what a claim changes is in small rows (entries, mailboxes, queue heads), and the rest is apart
-- (payloads). No index contains a column that a renewal writes, and pages have room for the next
-- version of a row, so renewals and appends are heap-only updates. Listings by status use indexes
-- on expressions, so that nothing else uses them: they hold the dead rows of all entries that were
-- ever claimed. Texts of unlimited length are indexed by their hashes: an index takes at most a
-- third of a page.
CREATE TABLE threads (
    thread_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    message_count bigint NOT NULL,
    patch_count bigint NOT NULL,
    resource_id text COLLATE "C",
    parent_thread_id text COLLATE "C"
) WITH (fillfactor = 70);
CREATE INDEX threads_of_resource ON threads (hashtextextended(resource_id, 0), thread_id)
    WHERE resource_id IS NOT NULL;
-- Partial, so that nothing looks up a thread by its id in it: every time is at least -1.
CREATE INDEX threads_by_creation ON threads (created_at, thread_id)
    WHERE created_at >= -1;
CREATE INDEX threads_of_resource_by_creation ON threads (hashtextextended(resource_id, 0), created_at, thread_id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX threads_of_parent ON threads (parent_thread_id, thread_id)
    WHERE parent_thread_id IS NOT NULL;

-- What listings by the time of the last change are sorted by. It is apart, because an append changes
-- it: no index of threads has to be written again.
CREATE TABLE thread_times (
    thread_key bigint PRIMARY KEY,
    changed_at bigint NOT NULL,
    changed_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C"
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX thread_times_by_update ON thread_times (changed_at, changed_id);
CREATE INDEX thread_times_of_owner ON thread_times (hashtextextended(owner, 0), changed_at, changed_id)
    WHERE owner IS NOT NULL;

CREATE TABLE thread_bodies (
    thread_key bigint PRIMARY KEY,
    body text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL
);

CREATE TABLE messages (
    thread_key bigint NOT NULL,
    position bigint NOT NULL,
    committed_at bigint,
    message_id text COLLATE "C",
    visibility text COLLATE "C" NOT NULL,
    run_id text COLLATE "C",
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_key, position)
);
-- Thread and id in one expression: a search by both can go by no other index.
CREATE INDEX messages_by_id ON messages (hashtextextended(message_id, thread_key))
    WHERE message_id IS NOT NULL;
CREATE INDEX messages_of_run ON messages (thread_key, hashtextextended(run_id, 0), position)
    WHERE run_id IS NOT NULL;

CREATE TABLE removed_messages (
    thread_key bigint NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    committed_at bigint,
    message_id text COLLATE "C",
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_key, position, version)
);

CREATE TABLE patches (
    thread_key bigint NOT NULL,
    position bigint NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_key, position)
);

CREATE TABLE deltas (
    thread_key bigint NOT NULL,
    version bigint NOT NULL,
    committed_at bigint NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (thread_key, version)
);

CREATE TABLE runs (
    run_id text COLLATE "C" PRIMARY KEY,
    thread_id text COLLATE "C" NOT NULL,
    parent_run_id text COLLATE "C",
    source_mailbox_entry_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    termination_code text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    body text COLLATE "C" NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX runs_by_age ON runs (created_at, run_id);
CREATE INDEX runs_of_thread ON runs (thread_id, created_at, run_id);
CREATE INDEX runs_of_parent ON runs (parent_run_id, created_at, run_id)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_in_status ON runs ((status || ''), created_at, run_id);
-- Its condition is an expression, so that PostgreSQL takes no other index of active runs instead.
CREATE INDEX runs_of_entry ON runs (source_mailbox_entry_id)
    WHERE status || '' <> 'done';
CREATE INDEX runs_active ON runs (thread_id, created_at, run_id)
    WHERE status <> 'done';

-- What searches for runs are sorted by. It is apart, because an append changes it, and has the owner of
-- the thread.
CREATE TABLE run_times (
    run_id text COLLATE "C" PRIMARY KEY,
    of_thread text COLLATE "C" NOT NULL,
    in_status text COLLATE "C" NOT NULL,
    begun_at bigint NOT NULL,
    changed_at bigint NOT NULL,
    owner text COLLATE "C"
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX run_times_by_update ON run_times (in_status, changed_at, run_id);
CREATE INDEX run_times_of_thread ON run_times (of_thread, in_status, changed_at, run_id);
CREATE INDEX run_times_of_owner ON run_times (hashtextextended(owner, 0), in_status, begun_at, run_id)
    WHERE owner IS NOT NULL;
CREATE INDEX run_times_of_owner_by_update ON run_times (hashtextextended(owner, 0), in_status, changed_at, run_id)
    WHERE owner IS NOT NULL;

-- Mailboxes. A transaction that writes anything of a mailbox locks its row first. `lease_until` is
-- the latest end of a lease on its entries, NULL if none is claimed. `wakes_at` is never later, and
-- is indexed in its stead: a renewal does not change it. `kept_priority` is the highest priority of a
-- retry that keeps its order, NULL if there is none. `pause_ends` is the
-- end of a pause, until a claim has found that it is over, and the largest integer if it has none.
CREATE TABLE mailboxes (
    mailbox_id text COLLATE "C" PRIMARY KEY,
    current_generation bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_turn bigint NOT NULL,
    paused_at bigint,
    paused_until bigint,
    pause_reason text COLLATE "C",
    extra text COLLATE "C",
    lease_until bigint,
    pause_ends bigint,
    kept_priority integer,
    wakes_at bigint
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX mailboxes_waking ON mailboxes (wakes_at)
    WHERE wakes_at IS NOT NULL AND pause_ends IS NULL;
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
    mailbox_id text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    kind integer NOT NULL,
    turn bigint,
    available_at bigint NOT NULL,
    created_at bigint NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    blocked integer NOT NULL,
    PRIMARY KEY (mailbox_id, priority, kind)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_heads_ready
    ON queue_heads (priority, kind, available_at, created_at, entry_id, mailbox_id)
    WHERE blocked = 0;

CREATE TABLE entries (
    entry_id text COLLATE "C" PRIMARY KEY,
    mailbox_id text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    generation bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    available_at bigint NOT NULL,
    attempt_count bigint NOT NULL,
    last_error text COLLATE "C",
    last_traceback text COLLATE "C",
    claim_token text COLLATE "C",
    claimed_by text COLLATE "C",
    lease_until bigint,
    turn bigint,
    closes_runs integer NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    ended_at bigint,
    kind integer NOT NULL
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX entries_queued
    ON entries (mailbox_id, priority, kind, turn, available_at, created_at, entry_id)
    WHERE status = 'queued';
CREATE INDEX entries_claimed ON entries (mailbox_id)
    WHERE status = 'claimed';
CREATE INDEX entries_ended ON entries (ended_at)
    WHERE ended_at IS NOT NULL;
CREATE INDEX entries_in_status ON entries ((status || ''), created_at, entry_id);
CREATE INDEX entries_unfinished_of_mailbox ON entries ((mailbox_id || ''), created_at, entry_id)
    WHERE status || '' IN ('queued', 'claimed');
CREATE INDEX entries_stopped_of_mailbox ON entries ((mailbox_id || ''), (status || ''), created_at, entry_id)
    WHERE ended_at IS NOT NULL AND status <> 'accepted';
-- What is queued, by when it is due: an entry is in one of these three indexes.
CREATE INDEX entries_undelayed ON entries (available_at, entry_id)
    WHERE kind = 0 AND status || '' = 'queued';
CREATE INDEX entries_scheduled ON entries (available_at, entry_id)
    WHERE kind <> 0 AND attempt_count = 0 AND status || '' = 'queued';
CREATE INDEX entries_retrying ON entries (available_at, entry_id)
    WHERE kind <> 0 AND attempt_count > 0 AND status || '' = 'queued';

-- The part of an entry that neither a claim nor its end changes.
CREATE TABLE payloads (
    entry_id text COLLATE "C" PRIMARY KEY,
    mailbox_id text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    sender_id text COLLATE "C",
    dedupe_key text COLLATE "C",
    headers text COLLATE "C",
    extra text COLLATE "C",
    payload text COLLATE "C" NOT NULL
);
CREATE INDEX payloads_by_age ON payloads (created_at, entry_id);
CREATE INDEX payloads_of_mailbox ON payloads (mailbox_id, created_at, entry_id);
CREATE INDEX payloads_by_dedupe_key ON payloads (mailbox_id, hashtextextended(dedupe_key, 0))
    WHERE dedupe_key IS NOT NULL;

-- Documents, by their collection and the joined parts of their keys.
CREATE TABLE documents (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint,
    extra text COLLATE "C",
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (collection, key)
) WITH (fillfactor = 70);
CREATE INDEX documents_expiring ON documents (expires_at)
    WHERE expires_at IS NOT NULL;

-- The last transaction of each writer. A writer that loses its connection during a COMMIT learns
-- here whether it happened. Numbers only grow, so none is committed twice.
CREATE TABLE commits (
    writer text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);
