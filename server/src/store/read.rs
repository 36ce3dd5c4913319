//! What a database holds, as the hub's values.
//!
//! Only what a start needs is read here: texts are read page by page at log-ins.

use std::path::Path;

use protocol::{FileId, Layout, MessageId, Username, time::UnixMs};
use rusqlite::{Connection, Params, Row};

use super::{
    StoreError,
    write::{integer, ms},
};
use crate::hub::{
    KnownFate, KnownId, MailboxPage, Recovered, RegisteredFile, Sequence, StoredMessage, Tried, TriesRecord,
};

/// Reads all that a hub starts with.
pub(super) fn recover(connection: &Connection, path: &Path, now: UnixMs) -> Result<Recovered, StoreError> {
    let reader = Reader { connection, path };
    let secret = reader.all("SELECT decoy_secret FROM server", (), |row| Ok(row.get(0)?))?.pop();
    let last_sequence = reader.all("SELECT max(sequence) FROM messages", (), |row| {
        Ok(Sequence(row.get::<_, Option<i64>>(0)?.map_or(Ok(0), u64::try_from)?))
    })?;
    Ok(Recovered {
        secret: secret.ok_or_else(|| StoreError::damaged(path)("the table 'server' is empty".to_owned()))?,
        last_sequence: last_sequence.into_iter().next().unwrap_or_default(),
        mailboxes: reader.all("SELECT user, messages, text_len FROM mailboxes", (), |row| {
            Ok((user(row, 0)?, count(row, 1)?, count(row, 2)?))
        })?,
        blocks: reader
            .all("SELECT user, blocked FROM blocks", (), |row| Ok((user(row, 0)?, user(row, 1)?)))?,
        last_seen: reader.all(
            "SELECT user, iif(online, max(at_ms, alive_at_ms), at_ms) FROM last_seen, server",
            (),
            |row| Ok((user(row, 0)?, time(row, 1)?)),
        )?,
        tries: reader.all(
            "SELECT name, in_a_row, locked_until_ms FROM wrong_passwords ORDER BY number",
            (),
            |row| {
                let locked_until: Option<i64> = row.get(2)?;
                let locked_until = locked_until.map(u64::try_from).transpose()?.map(UnixMs);
                Ok((
                    tried(&row.get::<_, String>(0)?)?,
                    TriesRecord { wrong_in_a_row: row.get(1)?, locked_until },
                ))
            },
        )?,
        known_ids: reader.all(
            "SELECT sender, ordinal, id, digest, fate, recipients, blocked, until_ms FROM known_ids
             WHERE until_ms > ?1 ORDER BY sender, ordinal",
            [ms(now)],
            known_id,
        )?,
        files: reader.all("SELECT name, file, size, chunks, owner FROM files", (), registered_file)?,
    })
}

/// The oldest messages of a user behind `after`: at least one, and up to `len_max` bytes of text.
pub(super) fn page(
    connection: &Connection,
    path: &Path,
    whose: &Username,
    after: Sequence,
    len_max: usize,
) -> Result<MailboxPage, StoreError> {
    let sql = StoreError::sql(path);
    let mut statement = connection
        .prepare_cached(
            "SELECT sequence, sender, id, sent_at_ms, text FROM messages
             WHERE recipient = ?1 AND sequence > ?2 ORDER BY sequence",
        )
        .map_err(&sql)?;
    let mut rows = statement.query((whose.as_str(), integer(after.0))).map_err(&sql)?;
    let mut page = MailboxPage::default();
    let mut len = 0;
    while let Some(row) = rows.next().map_err(&sql)? {
        let message = message(row).map_err(|wrong| wrong.at(path))?;
        len += message.text.len();
        if len > len_max && !page.messages.is_empty() {
            page.more = true;
            break;
        }
        page.messages.push(message);
    }
    Ok(page)
}

/// Reads every row of a statement into a value.
pub(super) struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) path: &'a Path,
}

impl Reader<'_> {
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        value: impl Fn(&Row<'_>) -> Outcome<T>,
    ) -> Result<Vec<T>, StoreError> {
        let failed = StoreError::sql(self.path);
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let mut rows = statement.query(values).map_err(&failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            all.push(value(row).map_err(|wrong| wrong.at(self.path))?);
        }
        Ok(all)
    }
}

pub(super) type Outcome<T> = Result<T, Wrong>;

/// A row that makes no value.
#[derive(Debug)]
pub(super) enum Wrong {
    Sql(rusqlite::Error),
    Value(String),
}

impl Wrong {
    fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(source) if source.sqlite_error_code().is_some() => StoreError::sql(path)(source),
            // The column holds another type than the table says.
            Self::Sql(source) => StoreError::damaged(path)(source.to_string()),
            Self::Value(what) => StoreError::damaged(path)(what),
        }
    }
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<core::num::TryFromIntError> for Wrong {
    fn from(_: core::num::TryFromIntError) -> Self {
        Self::Value("a number is below zero".to_owned())
    }
}

pub(super) fn message(row: &Row<'_>) -> Outcome<StoredMessage> {
    Ok(StoredMessage {
        sequence: Sequence(u64::try_from(row.get::<_, i64>(0)?)?),
        from: user(row, 1)?,
        id: id(row, 2)?,
        sent_at: time(row, 3)?,
        text: row.get(4)?,
    })
}

pub(super) fn user(row: &Row<'_>, column: usize) -> Outcome<Username> {
    let name: String = row.get(column)?;
    name.parse().map_err(|_| Wrong::Value(format!("{name:?} is no username")))
}

fn known_id(row: &Row<'_>) -> Outcome<KnownId> {
    let fate: String = row.get(4)?;
    Ok(KnownId {
        from: user(row, 0)?,
        ordinal: u64::try_from(row.get::<_, i64>(1)?)?,
        id: id(row, 2)?,
        digest: row.get(3)?,
        fate: match fate.as_str() {
            "stored" => KnownFate::Stored,
            "delivered" => KnownFate::Delivered,
            _ => KnownFate::Sent { recipients: u64::try_from(row.get::<_, i64>(5)?)?, blocked: row.get(6)? },
        },
        until: time(row, 7)?,
        // Everything that may be forgotten was.
        forget_to: 0,
    })
}

fn registered_file(row: &Row<'_>) -> Outcome<RegisteredFile> {
    let name: String = row.get(0)?;
    let (size, chunks) = (u64::try_from(row.get::<_, i64>(2)?)?, u64::try_from(row.get::<_, i64>(3)?)?);
    Ok(RegisteredFile {
        file: file(row, 1)?,
        layout: Layout::new(size, chunks).map_err(|error| Wrong::Value(format!("file {name:?}: {error}")))?,
        owner: user(row, 4)?,
        name: name.parse().map_err(|_| Wrong::Value(format!("{name:?} is no name for a file")))?,
    })
}

fn file(row: &Row<'_>, column: usize) -> Outcome<FileId> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Wrong::Value(format!("{text:?} is no file id")))
}

fn id(row: &Row<'_>, column: usize) -> Outcome<MessageId> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Wrong::Value(format!("{text:?} is no message id")))
}

fn count(row: &Row<'_>, column: usize) -> Outcome<usize> {
    Ok(usize::try_from(row.get::<_, i64>(column)?)?)
}

fn time(row: &Row<'_>, column: usize) -> Outcome<UnixMs> {
    Ok(UnixMs(u64::try_from(row.get::<_, i64>(column)?)?))
}

fn tried(name: &str) -> Outcome<Tried> {
    if let Ok(user) = name.parse() {
        return Ok(Tried::Account(user));
    }
    let digits =
        name.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    let tag = digits.collect::<Option<Vec<u8>>>().and_then(|tag| tag.try_into().ok());
    tag.map(Tried::Ghost).ok_or_else(|| Wrong::Value(format!("{name:?} is no username")))
}
