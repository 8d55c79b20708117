-- A message is kept once for all archives that have it, and its row goes to the end of the table. What stands in the order
-- of the archives (`entries`) is written later, for many messages at once: order.rs.
CREATE TABLE messages (
    -- The least id among its entries.
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    groupchat INTEGER NOT NULL,
    message_id TEXT,
    origin_id TEXT,
    stanza TEXT NOT NULL,
    -- The text to search in: itself, or where in `stanza` it stands (in bytes).
    body TEXT,
    body_at INTEGER,
    body_length INTEGER,
    -- The entries that it has, in or out of `entries`: packed.rs.
    packed BLOB NOT NULL
) STRICT;

-- `owner` and `peer` are ids in `jids`. Numbers that are mostly 0, which takes no space, stand for those they follow from:
-- the message's id is `id - behind`, its time `id / 1000 - lag`.
CREATE TABLE entries (
    owner INTEGER NOT NULL,
    id INTEGER NOT NULL,
    peer INTEGER NOT NULL,
    resource TEXT,
    behind INTEGER NOT NULL,
    lag INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_peer ON entries (owner, peer, id);
-- Those that are older than their ids say, because the clock had jumped.
CREATE INDEX entries_lagging ON entries (owner, id) WHERE lag > 60000;

INSERT INTO messages SELECT id, time, groupchat, message_id, origin_id, stanza, body, NULL, NULL, x'' FROM archive;
INSERT INTO entries SELECT owner, id, peer, peer_resource, 0, id / 1000 - time FROM archive;

-- ordered-below: all entries of messages with smaller ids are in `entries`.
-- text-below: there while the archive is indexed for full-text search; messages with smaller ids are in the index.
INSERT INTO store_state SELECT 'ordered-below', ifnull(max(id), 0) + 1 FROM archive;
INSERT INTO store_state
    SELECT 'text-below', CASE WHEN EXISTS (SELECT 1 FROM store_state WHERE key = 'text-index-below')
        THEN 0 ELSE (SELECT ifnull(max(id), 0) + 1 FROM archive) END
    FROM store_state WHERE key = 'text-on';
DELETE FROM store_state WHERE key IN ('text-on', 'text-index-below');
DROP TABLE archive;
