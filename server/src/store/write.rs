//! Operations as SQL. A new operation is one more arm.

use core::fmt::Write;

use protocol::time::UnixMs;
use rusqlite::{Connection, params};

use crate::hub::{KnownFate, KnownId, RegisteredFile, StoreOperation, StoredMessage, Tried, TriesRecord};

pub(super) fn apply(connection: &Connection, operation: &StoreOperation) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql)?.execute(values).map(drop)
    };
    match operation {
        StoreOperation::Keep { to, message, known } => {
            let StoredMessage { sequence, from, id, sent_at, text } = message;
            run(
                "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    integer(sequence.0),
                    to.as_str(),
                    from.as_str(),
                    id.to_string(),
                    ms(*sent_at),
                    &**text
                ],
            )?;
            remember(connection, known)
        }
        StoreOperation::Remember(known) => remember(connection, known),
        StoreOperation::Drop { to, sequence } => run(
            "DELETE FROM messages WHERE sequence = ?1 AND recipient = ?2",
            params![integer(sequence.0), to.as_str()],
        ),
        StoreOperation::Block { by, user } => {
            run("INSERT OR IGNORE INTO blocks VALUES (?1, ?2)", params![by.as_str(), user.as_str()])
        }
        StoreOperation::Unblock { by, user } => {
            run("DELETE FROM blocks WHERE user = ?1 AND blocked = ?2", params![by.as_str(), user.as_str()])
        }
        StoreOperation::LastSeen { user, at, online } => run(
            "INSERT OR REPLACE INTO last_seen VALUES (?1, ?2, ?3)",
            params![user.as_str(), ms(*at), online],
        ),
        StoreOperation::Alive { at } => run("UPDATE server SET alive_at_ms = ?1", params![ms(*at)]),
        StoreOperation::Tries { who, record } if *record == TriesRecord::default() => {
            run("DELETE FROM wrong_passwords WHERE name = ?1", params![name_of(who)])
        }
        StoreOperation::Tries { who, record } => run(
            "INSERT INTO wrong_passwords (name, in_a_row, locked_until_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE
             SET in_a_row = excluded.in_a_row, locked_until_ms = excluded.locked_until_ms",
            params![name_of(who), record.wrong_in_a_row, record.locked_until.map(ms)],
        ),
        StoreOperation::RegisterFile(RegisteredFile { name, file, layout, owner }) => run(
            "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5)",
            params![name.as_str(), file.to_string(), integer(layout.size()), layout.chunks(), owner.as_str()],
        ),
        StoreOperation::UnregisterFile { name } => {
            run("DELETE FROM files WHERE name = ?1", params![name.as_str()])
        }
    }
}

/// What no number of SQLite can say is as good as for ever.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn ms(at: UnixMs) -> i64 {
    integer(at.0)
}

fn remember(connection: &Connection, known: &KnownId) -> rusqlite::Result<()> {
    let KnownId { from, id, ordinal, digest, fate, until, forget_to } = known;
    let (word, recipients, blocked) = match *fate {
        KnownFate::Stored => ("stored", 0, false),
        KnownFate::Delivered => ("delivered", 0, false),
        KnownFate::Sent { recipients, blocked } => ("sent", recipients, blocked),
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO known_ids VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            from.as_str(),
            integer(*ordinal),
            id.to_string(),
            digest,
            word,
            integer(recipients),
            blocked,
            ms(*until)
        ])?;
    connection
        .prepare_cached("DELETE FROM known_ids WHERE sender = ?1 AND ordinal <= ?2")?
        .execute(params![from.as_str(), integer(*forget_to)])?;
    Ok(())
}

fn name_of(who: &Tried) -> String {
    match who {
        Tried::Account(user) => user.to_string(),
        Tried::Ghost(tag) => tag.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}
