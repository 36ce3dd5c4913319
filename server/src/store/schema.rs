//! The tables, and how a database comes to have them.
//!
//! A new table or column is one more entry at the end of [`MIGRATIONS`]; what stands there is never changed, since
//! databases of every version are about.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Says whose database this is: "Parl".
const APPLICATION_ID: i64 = 0x5061_726C;

/// The statements that lead from one version to the next; the version is their count.
const MIGRATIONS: &[&str] = &[FORMAT_1];

#[expect(clippy::cast_possible_wrap, reason = "there are few")]
const NEWEST: i64 = MIGRATIONS.len() as i64;

const FORMAT_1: &str = "
CREATE TABLE server (
    decoy_secret BLOB NOT NULL,
    alive_at_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE messages (
    sequence   INTEGER PRIMARY KEY,
    recipient  TEXT NOT NULL,
    sender     TEXT NOT NULL,
    id         TEXT NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX messages_by_recipient ON messages (recipient);

-- What messages add up to, so that the server need not read them all to start.
CREATE TABLE mailboxes (
    user     TEXT PRIMARY KEY,
    messages INTEGER NOT NULL,
    text_len INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER message_comes AFTER INSERT ON messages BEGIN
    INSERT INTO mailboxes VALUES (new.recipient, 1, length(CAST(new.text AS BLOB)))
        ON CONFLICT (user) DO UPDATE
        SET messages = messages + 1, text_len = text_len + excluded.text_len;
END;
CREATE TRIGGER message_goes AFTER DELETE ON messages BEGIN
    UPDATE mailboxes
        SET messages = messages - 1, text_len = text_len - length(CAST(old.text AS BLOB))
        WHERE user = old.recipient;
    DELETE FROM mailboxes WHERE user = old.recipient AND messages = 0;
END;

CREATE TABLE blocks (
    user    TEXT NOT NULL,
    blocked TEXT NOT NULL,
    PRIMARY KEY (user, blocked)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_seen (
    user   TEXT PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    online INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A name without an account is there as 64 hexadecimal digits; no account has such a long name.
CREATE TABLE wrong_passwords (
    number          INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    in_a_row        INTEGER NOT NULL,
    locked_until_ms INTEGER
) STRICT;

CREATE TABLE known_ids (
    sender     TEXT NOT NULL,
    ordinal    INTEGER NOT NULL,
    id         TEXT NOT NULL,
    digest     BLOB NOT NULL,
    fate       TEXT NOT NULL CHECK (fate IN ('stored', 'delivered', 'sent')),
    recipients INTEGER NOT NULL,
    blocked    INTEGER NOT NULL,
    until_ms   INTEGER NOT NULL,
    PRIMARY KEY (sender, ordinal)
) STRICT, WITHOUT ROWID;

-- Names of files; 'file' is the hash of a manifest, and several names may stand for the same.
CREATE TABLE files (
    name   TEXT PRIMARY KEY,
    file   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    owner  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_file ON files (file);
";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing was ever written to it.
    Empty,
    /// Ours, of a version that this program knows.
    Ours,
}

/// Looks at a database without changing it.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Kind, StoreError> {
    let number =
        |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(StoreError::sql(path));
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if application != APPLICATION_ID {
        let is_empty = application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
        return if is_empty { Ok(Kind::Empty) } else { Err(StoreError::Foreign(path.to_owned())) };
    }
    match version {
        1..=NEWEST => Ok(Kind::Ours),
        _ if version > NEWEST => {
            Err(StoreError::Newer { path: path.to_owned(), found: version, known: NEWEST })
        }
        _ => Err(StoreError::damaged(path)(format!("there is no format {version}"))),
    }
}

/// Brings a database to the newest version, as a whole or not at all. A new one gets `fresh_secret`.
pub(super) fn migrate(connection: &mut Connection, fresh_secret: &[u8; 32]) -> rusqlite::Result<()> {
    // A full disk keeps nobody from starting.
    if connection.query_row("PRAGMA user_version", (), |row| row.get::<_, i64>(0))? == NEWEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    for (_, migration) in (0..).zip(MIGRATIONS).filter(|&(number, _)| number >= version) {
        transaction.execute_batch(migration)?;
    }
    if version == 0 {
        transaction.execute("INSERT INTO server VALUES (?1, 0)", [fresh_secret])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", NEWEST)?;
    transaction.commit()
}
