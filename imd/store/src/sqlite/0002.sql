-- Roster items that are there, or are as they are, because two people share groups.
CREATE TABLE group_contacts (
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    contact INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    -- The names of the shared groups that were put into the item.
    groups_json TEXT NOT NULL,
    -- What the owner had before; NULL: the contact was not in the roster.
    own_json TEXT,
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_contacts_contact ON group_contacts (contact);
