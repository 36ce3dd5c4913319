//! Hashing a file that is to be shared: its chunks and the whole in one pass, in slices.

use std::{
    fs::File,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::{FileHash, FileName, Layout, Manifest};

use super::{
    directory::{Directory, read_at},
    failed,
    stamp::Stamp,
    unreadable,
};
use crate::core::files::disk::{DiskError, JobId};

/// Between two words on how far it has come.
const TOLD_PAUSE: Duration = Duration::from_millis(100);

/// A hash that is not finished.
#[derive(Debug)]
pub(super) struct Hashing {
    pub(super) job: JobId,
    pub(super) name: FileName,
    pub(super) stamp: Stamp,
    file: File,
    layout: Layout,
    whole: Box<blake3::Hasher>,
    chunk: Box<blake3::Hasher>,
    hashes: Vec<FileHash>,
    at: u64,
    told: Instant,
}

/// What a slice brought.
#[derive(Debug)]
pub(super) enum Hashed {
    /// Nothing to tell.
    More,
    /// So many chunks and bytes.
    Told(u32, u64),
    /// Everything.
    Whole(Arc<Manifest>),
}

impl Hashing {
    pub(super) fn start(dir: &Directory, job: JobId, name: FileName, chunks: u64) -> Result<Self, DiskError> {
        let file = dir.open_plain(name.as_str()).map_err(unreadable)?;
        let stamp = Stamp::of(&file).map_err(unreadable)?;
        // That they fit was checked, so another size came up since.
        let layout = Layout::new(stamp.size, chunks).map_err(|_| DiskError::Changed)?;
        let hashes = Vec::with_capacity(layout.chunks() as usize);
        let told = Instant::now();
        let (whole, chunk) = Default::default();
        Ok(Self { job, name, stamp, file, layout, whole, chunk, hashes, at: 0, told })
    }

    /// Hashes so many bytes more.
    pub(super) fn go_on(
        &mut self,
        dir: &Directory,
        buffer: &mut [u8],
        mut budget: u64,
    ) -> Result<Hashed, DiskError> {
        while self.at < self.layout.size() && budget > 0 {
            let len = (buffer.len() as u64).min(self.layout.size() - self.at);
            let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            read_at(&self.file, piece, self.at).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => DiskError::Changed,
                _ => failed("read the file")(error),
            })?;
            budget = budget.saturating_sub(len);
            self.take(piece);
        }
        if self.at < self.layout.size() {
            if self.told.elapsed() < TOLD_PAUSE {
                return Ok(Hashed::More);
            }
            self.told = Instant::now();
            return Ok(Hashed::Told(u32::try_from(self.hashes.len()).unwrap_or(u32::MAX), self.at));
        }
        let is_same = |found: io::Result<Stamp>| found.is_ok_and(|found| found == self.stamp);
        if !is_same(Stamp::of(&self.file)) || !is_same(dir.stamp(self.name.as_str())) {
            return Err(DiskError::Changed);
        }
        // The only chunk's hash is the file's.
        let hash = match self.hashes.as_slice() {
            [only] => *only,
            _ => FileHash(*self.whole.finalize().as_bytes()),
        };
        let hashes = core::mem::take(&mut self.hashes);
        Manifest::new(self.layout, hash, hashes).map(|manifest| Hashed::Whole(Arc::new(manifest))).ok_or(
            // One was pushed for each chunk's end, and the last chunk ends the file.
            DiskError::Changed,
        )
    }

    fn take(&mut self, mut piece: &[u8]) {
        if self.layout.chunks() > 1 {
            self.whole.update(piece);
        }
        while let Some(chunk) = self.layout.chunk(self.hashes.len() as u64) {
            let left = self.layout.range(chunk).end - self.at;
            let len = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (of_chunk, behind) = piece.split_at(len);
            self.chunk.update(of_chunk);
            self.at += len as u64;
            piece = behind;
            if (len as u64) < left {
                return;
            }
            self.hashes.push(FileHash(*self.chunk.finalize().as_bytes()));
            self.chunk.reset();
        }
    }
}
