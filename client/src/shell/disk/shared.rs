//! Files that stand under their own names: hashing them, offering them, reading them for others.
//!
//! Owns the rule that a file which changed since it was hashed is not read out. Must not know who reads.

use std::{collections::VecDeque, io, sync::Arc};

use protocol::{ChunkIndex, FileId, FileName, Layout, Manifest, limits::BLOCK_LEN_MAX};

use super::{
    directory::{is_component, read_new},
    failed,
    hashing::{Hashed, Hashing},
    partial::{no_such_place, place},
    record::Record,
    stamp::Stamp,
    unreadable,
    worker::{SLICE_LEN, Worker},
};
use crate::core::files::disk::{DiskError, DiskReply, JobId};

/// Manifests of files that are hashed and not yet shared, in bytes.
const HASHED_LEN_MAX: usize = 16 * 1024 * 1024;

/// A file that is offered whole.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) name: FileName,
    pub(super) layout: Layout,
    /// As it was when its bytes were known to be right.
    pub(super) stamp: Stamp,
}

/// Files to be hashed, one after the other, and what came out.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    waiting: VecDeque<(JobId, FileName, u64)>,
    current: Option<Hashing>,
    /// Not shared yet, the oldest first.
    hashed: VecDeque<(FileId, Record)>,
}

impl Hashes {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.current.is_none()
    }

    pub(super) fn add(&mut self, job: JobId, name: FileName, chunks: u64) {
        self.waiting.push_back((job, name, chunks));
    }

    pub(super) fn stop(&mut self, job: JobId) {
        self.waiting.retain(|(waiting, ..)| *waiting != job);
        self.current.take_if(|current| current.job == job);
    }

    fn remember(&mut self, file: FileId, record: Record) {
        self.hashed.retain(|(other, kept)| (*other, &kept.name) != (file, &record.name));
        self.hashed.push_back((file, record));
        let len = |(_, kept): &(FileId, Record)| Manifest::encoded_len(&kept.manifest.layout());
        while self.hashed.len() > 1 && self.hashed.iter().map(len).sum::<usize>() > HASHED_LEN_MAX {
            self.hashed.pop_front();
        }
    }

    fn take(&mut self, file: FileId, name: &FileName) -> Option<Record> {
        let found = self.hashed.iter().position(|(other, kept)| *other == file && kept.name == *name);
        self.hashed.remove(found?).map(|(_, record)| record)
    }
}

impl Worker {
    pub(super) fn look(&mut self, job: JobId, name: &str) {
        let size = if is_component(name) {
            let opened = self.dir.open_plain(name).and_then(|file| Stamp::of(&file));
            opened.map(|stamp| stamp.size).map_err(unreadable)
        } else {
            Err(DiskError::NoSuchFile)
        };
        self.replies.push(DiskReply::Seen { job, size });
    }

    pub(super) fn go_on_hashing(&mut self) {
        let mut hashing = match self.hashes.current.take() {
            Some(hashing) => hashing,
            None => match self.hashes.waiting.pop_front() {
                None => return,
                Some((job, name, chunks)) => match Hashing::start(&self.dir, job, name, chunks) {
                    Ok(hashing) => hashing,
                    Err(error) => return self.fail(job, error),
                },
            },
        };
        let job = hashing.job;
        match hashing.go_on(&self.dir, &mut self.buffer, SLICE_LEN) {
            Err(error) => return self.fail(job, error),
            Ok(Hashed::Whole(manifest)) => {
                let record = Record {
                    name: hashing.name,
                    whole: Some(hashing.stamp),
                    manifest: Arc::clone(&manifest),
                };
                self.hashes.remember(manifest.id(), record);
                return self.replies.push(DiskReply::Hashed { job, manifest });
            }
            Ok(Hashed::Told(chunks, bytes)) => self.replies.push(DiskReply::Hashing { job, chunks, bytes }),
            Ok(Hashed::More) => {}
        }
        self.hashes.current = Some(hashing);
    }

    pub(super) fn share(&mut self, name: &FileName, file: FileId) -> Result<(), DiskError> {
        let record = self.hashes.take(file, name);
        let (Some(record), Some(state)) = (record, &self.state) else {
            return Err(DiskError::Other("the file was not hashed before it was to be shared".to_owned()));
        };
        let Some(stamp) = record.whole.filter(|stamp| self.is_unchanged(name, stamp)) else {
            return Err(DiskError::Changed);
        };
        state.save(&record, file).map_err(failed("note that the file is shared"))?;
        // It may have been half fetched before.
        state.remove_part(file);
        self.partials.remove(&file);
        self.open.close(file);
        self.wholes.insert(file, Whole { name: name.clone(), layout: record.manifest.layout(), stamp });
        Ok(())
    }

    /// A file under its own name stays; one that is not whole has none, and goes.
    pub(super) fn forget(&mut self, file: FileId) {
        self.wholes.remove(&file);
        self.partials.remove(&file);
        self.open.close(file);
        if let Some(state) = &self.state {
            state.forget(file);
        }
    }

    pub(super) fn read(
        &mut self,
        file: FileId,
        chunk: ChunkIndex,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, DiskError> {
        let layout = self.layout(file).ok_or(DiskError::NoSuchFile)?;
        // No block is longer, so nobody needs more at once.
        let len = usize::try_from(len).ok().filter(|&len| len <= BLOCK_LEN_MAX).ok_or_else(no_such_place)?;
        let at = place(&layout, chunk, offset, len as u64).ok_or_else(no_such_place)?;
        if self.wholes.contains_key(&file) {
            self.read_whole(file, at, len)
        } else {
            self.read_partial(file, chunk, at, len)
        }
    }

    pub(super) fn read_manifest(&mut self, file: FileId, offset: u32) -> Result<Vec<u8>, DiskError> {
        let (Some(layout), Some(state)) = (self.layout(file), &self.state) else {
            return Err(DiskError::NoSuchFile);
        };
        let left = Manifest::encoded_len(&layout).checked_sub(offset as usize).filter(|&left| left > 0);
        let mut bytes = vec![0; left.ok_or_else(no_such_place)?.min(BLOCK_LEN_MAX)];
        let read = state.read_manifest(file, &layout, offset, &mut bytes);
        read.map_err(failed("read what is known of the file"))?;
        Ok(bytes)
    }

    pub(super) fn is_unchanged(&self, name: &FileName, stamp: &Stamp) -> bool {
        self.dir.stamp(name.as_str()).is_ok_and(|found| found == *stamp)
    }

    fn layout(&self, file: FileId) -> Option<Layout> {
        let whole = self.wholes.get(&file).map(|whole| whole.layout);
        whole.or_else(|| self.partials.get(&file).map(|partial| partial.layout))
    }

    fn read_whole(&mut self, file: FileId, at: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let whole = self.wholes.get(&file).ok_or(DiskError::NoSuchFile)?;
        let opened = self.open.get(file, || self.dir.open_plain(whole.name.as_str()));
        let read = opened.and_then(|opened| {
            let bytes = read_new(&opened, len, at)?;
            Ok((bytes, Stamp::of(&opened)?))
        });
        // The stamps are looked at after the bytes: if they are the old ones still, so are the bytes.
        let is_changed = match &read {
            Ok((_, found)) => *found != whole.stamp || !self.is_unchanged(&whole.name, &whole.stamp),
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
            }
        };
        if is_changed {
            self.forget(file);
            self.replies.push(DiskReply::Changed { file });
            return Err(DiskError::Changed);
        }
        read.map(|(bytes, _)| bytes).map_err(failed("read the file"))
    }
}
