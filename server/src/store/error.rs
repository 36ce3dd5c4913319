//! Why a database cannot be used, in sentences for the operator.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;
use thiserror::Error;

/// Each message names the file and says what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operator's `check` found nothing to check.
    #[error("there is no database {}; --data-dir names the folder of one", .0.display())]
    Missing(PathBuf),
    /// Two servers.
    #[error("another parlour-server uses {}; stop it first, or give this one a --data-dir of its own", .0.display())]
    InUse(PathBuf),
    /// Not ours, and perhaps somebody's.
    #[error("{} belongs to another program; move it away, or name another --data-dir", .0.display())]
    Foreign(PathBuf),
    /// An older program must not touch what it does not know.
    #[error(
        "{} was written by a newer parlour-server (format {found}, this one knows formats up to {known}); run that one, or put back a copy from before",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Bytes that no server has written.
    #[error(
        "{} is damaged ({what}); put back a copy, or move it away, with the -wal and -shm files beside it, to start with nothing",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system, or the disk.
    #[error("cannot use {}: {source}; see that it and its folder can be written, and that the disk has room", path.display())]
    Sql {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system, before it came to SQLite.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether it may be over by itself, or once there is room: nothing is wrong with how the server was started.
    pub fn is_passing(&self) -> bool {
        let Self::Sql { source, .. } = self else { return false };
        matches!(
            source.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
            )
        )
    }

    pub(super) fn sql(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Self::Damaged { path: path.clone(), what: "it is no database at all".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path: path.clone(), what: "its structure is broken".to_owned() }
            }
            _ => Self::Sql { path: path.clone(), source },
        }
    }

    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }

    pub(super) fn damaged(path: &Path) -> impl Fn(String) -> Self + use<> {
        let path = path.to_owned();
        move |what| Self::Damaged { path: path.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Error, ffi};

    use super::*;

    #[test]
    fn a_full_disk_may_pass_and_a_damaged_or_unwritable_database_does_not() {
        let error = |code| StoreError::sql(Path::new("x"))(Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR] {
            assert!(error(code).is_passing(), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_READONLY, ffi::SQLITE_CANTOPEN] {
            assert!(!error(code).is_passing(), "{code}");
        }
    }
}
