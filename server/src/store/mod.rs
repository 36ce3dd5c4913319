//! The durable store: what must outlive the process, in one SQLite database.
//!
//! Owns the database and the lock on its folder; knows the operations of the hub, and decides nothing. It does its
//! work when it is asked and takes its time, so it belongs on a thread of its own.
//!
//! WAL with `synchronous=FULL`: a commit is on the disk when it returns, and one that was cut off by a power
//! failure is not there at all.

mod error;
mod read;
mod schema;
mod verify;
mod write;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{Username, time::UnixMs};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub use error::StoreError;
pub use verify::{Contents, verify};

use crate::{
    hub::{MailboxPage, Recovered, Sequence, StoreOperation},
    private,
};

/// The database's name in the data directory.
pub const FILE_NAME: &str = "parlour.db";
/// The name of the file that is locked for as long as a server runs. The database itself is not, so that it can be
/// read and copied meanwhile.
const LOCK_NAME: &str = "parlour.lock";

/// How long to wait for an operator who writes to the database by hand.
const BUSY_PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for a server before this one, which was killed and is not quite gone.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(2);
/// A database up to this size is looked through at the start; that takes less than half a second. A larger one is
/// left to `parlour-server check`.
const LOOKED_THROUGH_LEN_MAX: i64 = 32 * 1024 * 1024;
/// The write-ahead log is cut to this after a burst has made it longer.
const LOG_LEN_MAX: i64 = 64 * 1024 * 1024;
/// Statements that are kept ready; there are fewer.
const STATEMENTS_MAX: usize = 32;

/// A database in use.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Behind the connection, so that it goes after it.
    _lock: Connection,
}

impl Store {
    /// Opens the database in a folder, or makes both. A new one keeps `fresh_secret` for good.
    pub fn open(
        folder: &Path,
        fresh_secret: &[u8; 32],
        now: UnixMs,
    ) -> Result<(Self, Recovered), StoreError> {
        private::folder(folder).map_err(StoreError::file(folder))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE_NAME);
        let is_new = !path.exists();
        if is_new {
            private::new_file(&path).map_err(StoreError::file(&path))?;
        }
        let sql = StoreError::sql(&path);
        let mut connection = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(&sql)?;
        set_up(&connection).map_err(&sql)?;
        schema::identify(&connection, &path)?;
        use_wal(&connection).map_err(&sql)?;
        verify::look_through(&connection, &path, LOOKED_THROUGH_LEN_MAX)?;
        schema::migrate(&mut connection, fresh_secret).map_err(&sql)?;
        if is_new {
            // The names of the new files.
            for folder in [Some(folder), folder.parent()].into_iter().flatten() {
                sync_folder(folder);
            }
        }
        let recovered = read::recover(&connection, &path, now)?;
        if let Err(error) = tidy(&connection, now) {
            log::warn!("cannot tidy up {}: {error}", path.display());
        }
        Ok((Self { connection, path, _lock: lock }, recovered))
    }

    /// Makes all of this durable, or none.
    pub fn commit(&mut self, operations: &[StoreOperation]) -> Result<(), StoreError> {
        self.try_commit(operations).map_err(StoreError::sql(&self.path))
    }

    /// The oldest messages of a user behind `after`: at least one, and up to `len_max` bytes of text.
    pub fn load(
        &mut self,
        user: &Username,
        after: Sequence,
        len_max: usize,
    ) -> Result<MailboxPage, StoreError> {
        read::page(&self.connection, &self.path, user, after, len_max)
    }

    fn try_commit(&mut self, operations: &[StoreOperation]) -> rusqlite::Result<()> {
        // Whatever goes wrong, dropping the transaction undoes it.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for operation in operations {
            write::apply(&transaction, operation)?;
        }
        transaction.commit()
    }
}

/// Keeps a second server out until the connection is dropped, or the process ends. SQLite locks files the same way
/// on every system, so it does it here too: nothing is ever written to this one.
fn lock(folder: &Path) -> Result<Connection, StoreError> {
    let path = folder.join(LOCK_NAME);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags(&path, flags).map_err(StoreError::sql(&path))?;
    let locked = connection
        .busy_timeout(PREDECESSOR_PATIENCE)
        .and_then(|()| connection.execute_batch("BEGIN EXCLUSIVE"));
    match locked {
        Ok(()) => Ok(connection),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            Err(StoreError::InUse(folder.to_owned()))
        }
        Err(error) => Err(StoreError::sql(&path)(error)),
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Texts of messages that were delivered do not stay in the pages that they leave.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("this file system cannot hold a write-ahead log".to_owned()),
        ));
    }
    connection.pragma_update(None, "journal_size_limit", LOG_LEN_MAX)
}

/// What is over, and who is not online any more.
fn tidy(connection: &Connection, now: UnixMs) -> rusqlite::Result<()> {
    // Whatever goes wrong, dropping the transaction undoes it, and commits find none in their way.
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM known_ids WHERE until_ms <= ?1", [write::ms(now)])?;
    transaction.execute_batch(
        "UPDATE last_seen SET online = false, at_ms = max(at_ms, (SELECT alive_at_ms FROM server)) WHERE online;
         UPDATE server SET alive_at_ms = 0;",
    )?;
    transaction.commit()
}

/// Not every system can, and where it cannot there is nothing else to do.
fn sync_folder(folder: &Path) {
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        log::debug!("cannot sync {}: {error}", folder.display());
    }
}
