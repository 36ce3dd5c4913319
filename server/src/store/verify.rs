//! Whether a database is sound: its structure, and what must be true of its rows.

use std::path::Path;

use protocol::time::UnixMs;
use rusqlite::{Connection, OpenFlags};

use super::{
    BUSY_PATIENCE, FILE_NAME, StoreError,
    read::{self, Reader, message, user},
    schema::{self, Kind},
};

/// What a sound database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Messages that wait.
    pub messages: usize,
    /// Users for whom some do.
    pub mailboxes: usize,
    /// Blocks.
    pub blocks: usize,
    /// Names of files.
    pub files: usize,
}

/// What must not be in any table, and what it is called.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "SELECT 1 FROM (
             SELECT recipient AS user, count(*) AS messages, sum(length(CAST(text AS BLOB))) AS text_len
             FROM messages GROUP BY recipient
         ) AS counted FULL JOIN mailboxes USING (user)
         WHERE counted.messages IS NOT mailboxes.messages OR counted.text_len IS NOT mailboxes.text_len",
        "the counts of a mailbox are not those of its messages",
    ),
    ("SELECT 1 FROM messages WHERE sequence < 1", "a message has no place in the order"),
    ("SELECT 1 FROM blocks WHERE user = blocked", "a user blocks himself"),
    (
        "SELECT 1 FROM files GROUP BY file HAVING min(size) <> max(size) OR min(chunks) <> max(chunks)",
        "a file has two sizes",
    ),
    ("SELECT 1 WHERE (SELECT count(*) FROM server) <> 1", "the table 'server' has not one row"),
];

/// Looks at everything in the database of a folder, and changes nothing. A server may be using it.
pub fn verify(folder: &Path, now: UnixMs) -> Result<Contents, StoreError> {
    let path = &folder.join(FILE_NAME);
    if !path.exists() {
        return Err(StoreError::Missing(path.clone()));
    }
    let sql = StoreError::sql(path);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(&sql)?;
    connection.busy_timeout(BUSY_PATIENCE).map_err(&sql)?;
    // All of it at one moment, whatever a server does meanwhile.
    connection.execute_batch("BEGIN").map_err(&sql)?;
    let kind = schema::identify(&connection, path)?;
    complain(&connection, path, "PRAGMA integrity_check(1)")?;
    if kind == Kind::Empty {
        return Ok(Contents::default());
    }
    let reader = Reader { connection: &connection, path };
    for (contradiction, name) in CONTRADICTIONS {
        if !reader.all(&format!("{contradiction} LIMIT 1"), (), |_| Ok(()))?.is_empty() {
            return Err(StoreError::damaged(path)((*name).to_owned()));
        }
    }
    let recovered = read::recover(&connection, path, now)?;
    let messages = "SELECT sequence, sender, id, sent_at_ms, text, recipient FROM messages";
    let messages = reader.all(messages, (), |row| user(row, 5).and_then(|_| message(row)).map(drop))?;
    Ok(Contents {
        messages: messages.len(),
        mailboxes: recovered.mailboxes.len(),
        blocks: recovered.blocks.len(),
        files: recovered.files.len(),
    })
}

/// Finds broken structure, unless the database is so large that it would take long.
pub(super) fn look_through(connection: &Connection, path: &Path, len_max: i64) -> Result<(), StoreError> {
    let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let len: i64 = connection.query_row(pages, (), |row| row.get(0)).map_err(StoreError::sql(path))?;
    if len > len_max {
        return Ok(());
    }
    complain(connection, path, "PRAGMA integrity_check(1)")
}

fn complain(connection: &Connection, path: &Path, pragma: &str) -> Result<(), StoreError> {
    let verdict: String =
        connection.query_row(pragma, (), |row| row.get(0)).map_err(StoreError::sql(path))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::damaged(path)(verdict.replace('\n', " "))) }
}
