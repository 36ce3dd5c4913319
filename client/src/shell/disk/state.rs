//! What one user's client keeps in a directory between its runs: `.parlour/u-<username>.d/`, made when it is
//! first needed.
//!
//! For each file `<id>.record`, and while it is not whole `<id>.part` and `<id>.journal`. A record is the first
//! of a file to come and the last to go, so nothing is left over after a crash. Must not know who asks for the
//! files.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use protocol::{FileId, Layout, Username};

use super::{
    directory::{Directory, HALF_WRITTEN, read_at},
    failed,
    record::{RECORD_LEN_MAX, Record},
    stamp::Stamp,
};
use crate::core::files::disk::DiskError;

const TOP: &str = ".parlour";
const LOCK: &str = "lock";
const RECORD: &str = ".record";

/// The state of one user, which no other process has open.
#[derive(Debug)]
pub(super) struct State {
    folder: Directory,
    path: PathBuf,
    /// The system gives the lock back when the process ends, however it ends.
    _lock: File,
}

impl State {
    /// Opens what is there. `None` when that user has no state here, and none is to be made.
    pub(super) fn open(dir: &Directory, user: &Username, make: bool) -> Result<Option<Self>, DiskError> {
        let own = format!("u-{user}.d");
        let opened = Self::folder(dir, &own, make).and_then(|folder| match folder {
            Some(folder) => folder.lock(LOCK).map(|lock| Some((folder, lock))),
            None => Ok(None),
        });
        match opened
            .map_err(failed("use the directory .parlour, where downloads and shared files are kept"))?
        {
            None => Ok(None),
            Some((folder, Some(lock))) => {
                Ok(Some(Self { folder, path: PathBuf::from(TOP).join(own), _lock: lock }))
            }
            Some((_, None)) => Err(DiskError::Other(format!(
                "another running client of the user {user} shares files from this directory; end it, or give \
                 this one another directory"
            ))),
        }
    }

    /// The ids of all records. What a crash left half written goes.
    pub(super) fn files(&self) -> Vec<FileId> {
        let names = self.folder.names().unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(HALF_WRITTEN)) {
            let _ = self.folder.remove(name);
        }
        names.iter().filter_map(|name| name.strip_suffix(RECORD)?.parse().ok()).collect()
    }

    /// Reads a record and its own stamp; `None` when it is damaged.
    pub(super) fn load(&self, file: FileId) -> io::Result<Option<(Record, Stamp)>> {
        let opened = self.folder.open_plain(&record_name(file))?;
        let stamp = Stamp::of(&opened)?;
        let mut bytes = Vec::new();
        opened.take(RECORD_LEN_MAX).read_to_end(&mut bytes)?;
        Ok(Record::decode(&bytes, file).map(|record| (record, stamp)))
    }

    /// Writes a record.
    pub(super) fn save(&self, record: &Record, file: FileId) -> io::Result<()> {
        self.folder.replace(&record_name(file), &record.encode())
    }

    /// Removes everything that is known of a file.
    pub(super) fn forget(&self, file: FileId) {
        self.remove_part(file);
        let _ = self.folder.remove(&record_name(file));
    }

    /// Removes what only a file that is not whole has.
    pub(super) fn remove_part(&self, file: FileId) {
        for name in [part_name(file), journal_name(file)] {
            let _ = self.folder.remove(&name);
        }
    }

    /// Reads a part of a manifest of a record, into all of the buffer.
    pub(super) fn read_manifest(
        &self,
        file: FileId,
        layout: &Layout,
        offset: u32,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let record = self.folder.open_plain(&record_name(file))?;
        let start =
            Record::manifest_start(Stamp::of(&record)?.size, layout).ok_or(io::ErrorKind::InvalidData)?;
        read_at(&record, buffer, start.saturating_add(offset.into()))
    }

    /// Opens the bytes of a file that is not whole, if there are any.
    pub(super) fn open_part(&self, file: FileId) -> io::Result<File> {
        self.folder.open_plain(&part_name(file))
    }

    /// Opens the bytes of a file that is not whole, or makes them.
    pub(super) fn make_part(&self, file: FileId) -> io::Result<File> {
        self.folder.open_or_create(&part_name(file))
    }

    /// Opens the journal of a file that is not whole, or makes it.
    pub(super) fn make_journal(&self, file: FileId) -> io::Result<File> {
        self.folder.open_or_create(&journal_name(file))
    }

    /// Puts another journal in the place of a file's.
    pub(super) fn replace_journal(&self, file: FileId, bytes: &[u8]) -> io::Result<()> {
        self.folder.replace(&journal_name(file), bytes)
    }

    /// Gives a file that is whole now its name in the directory.
    pub(super) fn publish(&self, file: FileId, dir: &Directory, name: &str) -> io::Result<()> {
        self.folder.publish(&part_name(file), dir, name)
    }

    /// Whether the half of a file and that name in the directory are one and the same: a crash can leave both.
    pub(super) fn is_published(&self, file: FileId, dir: &Directory, name: &str) -> bool {
        let (part, whole) = (self.folder.stamp(&part_name(file)), dir.stamp(name));
        part.is_ok_and(|part| whole.is_ok_and(|whole| part.is_same_file(&whole)))
    }

    /// See [`Directory::free_bytes`].
    pub(super) fn free_bytes(&self) -> Option<u64> {
        self.folder.free_bytes()
    }

    /// Where the bytes of a file lie until it is whole, within the directory.
    pub(super) fn part_path(&self, file: FileId) -> PathBuf {
        self.path.join(part_name(file))
    }

    fn folder(dir: &Directory, own: &str, make: bool) -> io::Result<Option<Directory>> {
        if make {
            dir.make_dir(TOP, false)?;
            let top = dir.open_dir(TOP)?;
            top.make_dir(own, true)?;
            return top.open_dir(own).map(Some);
        }
        match dir.open_dir(TOP).and_then(|top| top.open_dir(own)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }
}

fn record_name(file: FileId) -> String {
    format!("{file}{RECORD}")
}

fn part_name(file: FileId) -> String {
    format!("{file}.part")
}

fn journal_name(file: FileId) -> String {
    format!("{file}.journal")
}
