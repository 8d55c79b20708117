-- Schema version 1. Never edit a step that has been released; add a new one to STEPS in schema.rs.
-- Times are milliseconds since 1970. Lists of texts are JSON arrays.

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    display_name TEXT
) STRICT;

CREATE TABLE credentials (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    hash TEXT NOT NULL,
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL,
    PRIMARY KEY (account, hash)
) STRICT, WITHOUT ROWID;

-- A removed contact stays as a tombstone, so that a client can catch up from its version.
CREATE TABLE roster (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    contact TEXT NOT NULL,
    removed INTEGER NOT NULL,
    name TEXT,
    subscription TEXT NOT NULL,
    ask INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    groups_json TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;

-- A client older than `floor` has to fetch the whole roster: tombstones up to there are gone.
CREATE TABLE roster_versions (
    account INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    version INTEGER NOT NULL,
    floor INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    sender TEXT NOT NULL,
    stanza TEXT NOT NULL,
    UNIQUE (account, sender)
) STRICT;

-- JIDs that occur often are stored once.
CREATE TABLE jids (
    id INTEGER PRIMARY KEY,
    jid TEXT NOT NULL UNIQUE
) STRICT;

-- Ids increase, so new rows go to the end of the table. `owner` and `peer` are ids in `jids`.
CREATE TABLE archive (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    peer INTEGER NOT NULL,
    peer_resource TEXT,
    time INTEGER NOT NULL,
    groupchat INTEGER NOT NULL,
    message_id TEXT,
    origin_id TEXT,
    stanza TEXT NOT NULL,
    body TEXT
) STRICT;
CREATE INDEX archive_owner ON archive (owner, id, time);
CREATE INDEX archive_peer ON archive (owner, peer, id, time);
CREATE INDEX archive_time ON archive (time);

-- Numbers the store keeps for itself:
-- archive-last: the greatest archive id ever used, also when its entry has been deleted;
-- text-on: there while the archive is indexed for full-text search;
-- text-index-below: there while entries with smaller ids are still to be indexed.
CREATE TABLE store_state (
    key TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO store_state VALUES ('archive-last', 0);

-- `owner` is indexed as a word, so that a search only touches one archive.
CREATE VIRTUAL TABLE archive_text USING fts5 (
    owner, body, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TABLE archive_prefs (
    account INTEGER PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    mode TEXT NOT NULL,
    always_json TEXT NOT NULL,
    never_json TEXT NOT NULL
) STRICT;

CREATE TABLE offline (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stamp INTEGER NOT NULL,
    stanza TEXT NOT NULL
) STRICT;
CREATE INDEX offline_account ON offline (account, id);

CREATE TABLE blocks (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    jid TEXT NOT NULL,
    PRIMARY KEY (account, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE vcards (
    owner TEXT NOT NULL PRIMARY KEY,
    vcard TEXT NOT NULL
) STRICT;

CREATE TABLE private_xml (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    xml TEXT NOT NULL,
    PRIMARY KEY (account, namespace, name)
) STRICT;

CREATE TABLE pubsub_nodes (
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    creator TEXT NOT NULL,
    max_items INTEGER NOT NULL,
    config TEXT NOT NULL,
    UNIQUE (service, name)
) STRICT;

CREATE TABLE pubsub_items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    node INTEGER NOT NULL REFERENCES pubsub_nodes ON DELETE CASCADE,
    item TEXT NOT NULL,
    publisher TEXT NOT NULL,
    time INTEGER NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (node, item)
) STRICT;
CREATE INDEX pubsub_items_order ON pubsub_items (node, seq);

CREATE TABLE pubsub_affiliations (
    node INTEGER NOT NULL REFERENCES pubsub_nodes ON DELETE CASCADE,
    jid TEXT NOT NULL,
    affiliation TEXT NOT NULL,
    PRIMARY KEY (node, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE pubsub_subscriptions (
    node INTEGER NOT NULL REFERENCES pubsub_nodes ON DELETE CASCADE,
    jid TEXT NOT NULL,
    subid TEXT NOT NULL,
    state TEXT NOT NULL,
    options TEXT,
    PRIMARY KEY (node, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX pubsub_subscriptions_jid ON pubsub_subscriptions (jid);

CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    jid TEXT NOT NULL UNIQUE,
    config TEXT NOT NULL,
    subject TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE room_affiliations (
    room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
    jid TEXT NOT NULL,
    affiliation TEXT NOT NULL,
    nick TEXT,
    reason TEXT,
    PRIMARY KEY (room, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_affiliations_jid ON room_affiliations (jid);

CREATE TABLE invites (
    token TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    inviter TEXT,
    username TEXT,
    role TEXT NOT NULL,
    groups_json TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    uses_left INTEGER,
    note TEXT
) STRICT;

CREATE TABLE people_groups (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    room TEXT
) STRICT;

CREATE TABLE group_members (
    people_group INTEGER NOT NULL REFERENCES people_groups ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    PRIMARY KEY (people_group, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_account ON group_members (account);

CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    account INTEGER REFERENCES accounts ON DELETE SET NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    content_type TEXT,
    created_at INTEGER NOT NULL,
    complete INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_account ON uploads (account, created_at);
CREATE INDEX uploads_created ON uploads (created_at);

CREATE TABLE saved_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    resource TEXT NOT NULL,
    state BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX saved_sessions_account ON saved_sessions (account);

CREATE TABLE login_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    client TEXT NOT NULL,
    mechanism TEXT NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    counter INTEGER,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX login_tokens_client ON login_tokens (account, client);

CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE TABLE push (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    service TEXT NOT NULL,
    node TEXT NOT NULL,
    options TEXT,
    client TEXT,
    created_at INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (account, service, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_time ON audit (time);
