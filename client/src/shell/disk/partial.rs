//! A file that is not whole: its bytes, which of its chunks are right, and how that is remembered.
//!
//! Must not know how the file gets its name at last.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use protocol::{ChunkIndex, ChunkSet, FileName, Layout, Manifest};

use super::{check::Check, directory::write_at, failed, journal::Journal};
use crate::core::files::disk::DiskError;

/// Chunks that are hashed while their blocks come in; a few KiB each. The others are read again.
const GROWING_MAX: usize = 64;

/// A half fetched file.
#[derive(Debug)]
pub(super) struct Partial {
    /// The name that it will have.
    pub(super) name: FileName,
    pub(super) layout: Layout,
    /// Chunks whose bytes were hashed in this run of the client, and are right.
    pub(super) held: ChunkSet,
    /// While more of it is fetched.
    pub(super) fetching: Option<Fetching>,
}

/// What a file needs while it grows.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) manifest: Arc<Manifest>,
    pub(super) part: Arc<File>,
    journal: Journal,
    growing: VecDeque<Check>,
}

impl Fetching {
    pub(super) fn new(manifest: Arc<Manifest>, part: Arc<File>, journal: Journal) -> Self {
        Self { manifest, part, journal, growing: VecDeque::new() }
    }
}

impl Partial {
    /// Writes a part of a chunk to its place. What is right already stays as it is.
    pub(super) fn write(&mut self, chunk: ChunkIndex, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let (layout, is_held) = (self.layout, self.held.contains(chunk));
        let fetching = self.fetching.as_mut().ok_or_else(not_begun)?;
        let at = place(&layout, chunk, offset, bytes.len() as u64).ok_or_else(no_such_place)?;
        if is_held {
            return Ok(());
        }
        write_at(&fetching.part, bytes, at).map_err(failed("write to the file"))?;
        if offset == 0 {
            // A chunk that comes again is hashed again.
            fetching.growing.retain(|check| check.chunk != chunk);
            if fetching.growing.len() == GROWING_MAX {
                fetching.growing.pop_front();
            }
            fetching.growing.push_back(Check::new(&layout, chunk));
        }
        // What comes out of order is read again when its chunk is checked.
        if let Some(check) = fetching.growing.iter_mut().find(|check| check.chunk == chunk) {
            if check.at() == at {
                check.update(bytes);
            } else if check.at() > at {
                *check = Check::new(&layout, chunk);
            }
        }
        Ok(())
    }

    /// Begins to check a chunk, or goes on where the hashing of its blocks has come to.
    pub(super) fn check(&mut self, chunk: ChunkIndex) -> Result<(Check, Arc<File>), DiskError> {
        let fetching = self.fetching.as_mut().ok_or_else(not_begun)?;
        if chunk.0 >= self.layout.chunks() {
            return Err(no_such_place());
        }
        let number = fetching.growing.iter().position(|check| check.chunk == chunk);
        let check = number.and_then(|number| fetching.growing.remove(number));
        Ok((check.unwrap_or_else(|| Check::new(&self.layout, chunk)), Arc::clone(&fetching.part)))
    }

    /// Judges a chunk that was hashed to its end, and remembers it if it is right.
    pub(super) fn judge(&mut self, check: &Check) -> Result<bool, DiskError> {
        let fetching = self.fetching.as_mut().ok_or_else(not_begun)?;
        let is_right = fetching.manifest.chunk_hash(check.chunk) == Some(check.hash());
        if is_right && !self.held.contains(check.chunk) {
            fetching.journal.add(check.chunk).map_err(failed("note which chunks are there"))?;
            self.held.insert(check.chunk);
        }
        Ok(is_right)
    }
}

/// Where in the file a part of a chunk lies, if the chunk has it.
pub(super) fn place(layout: &Layout, chunk: ChunkIndex, offset: u64, len: u64) -> Option<u64> {
    let chunk = layout.chunk(chunk.0.into())?;
    let end = offset.checked_add(len)?;
    (end <= layout.len(chunk)).then(|| layout.range(chunk).start + offset)
}

pub(super) fn no_such_place() -> DiskError {
    DiskError::Other("the file has no such place".to_owned())
}

pub(super) fn not_begun() -> DiskError {
    failed("go on with the download")(io::Error::other("it was not begun"))
}
