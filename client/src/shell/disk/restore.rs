//! The files of earlier runs: which of them are still there, and which of their bytes are right.
//!
//! Owns the rule that nothing counts on a record's word alone: a chunk's hash was checked in this run, or the
//! file's stamp proves that nobody touched it. Must not know what the files are used for then.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use protocol::{ChunkIndex, ChunkSet, FileId, Username};

use super::{
    check::Check,
    journal::Journal,
    partial::Partial,
    record::Record,
    shared::Whole,
    stamp::Stamp,
    worker::{SLICE_LEN, Worker},
};
use crate::core::files::disk::DiskReply;

/// Files of which it is not known yet what they are worth. All of them are busy.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    /// Not looked at.
    new: VecDeque<FileId>,
    /// To be hashed.
    doubtful: VecDeque<FileId>,
    current: Option<Recheck>,
    /// The end is to be told.
    is_asked: bool,
}

impl Restoring {
    pub(super) fn is_idle(&self) -> bool {
        !self.is_asked && self.new.is_empty() && self.doubtful.is_empty() && self.current.is_none()
    }

    pub(super) fn add(&mut self, files: Vec<FileId>) {
        self.new.extend(files);
    }

    /// Somebody waits for that file.
    pub(super) fn hurry(&mut self, file: FileId) {
        if let Some(found) = self.doubtful.iter().position(|doubtful| *doubtful == file) {
            self.doubtful.swap(0, found);
        }
    }
}

/// A file that is hashed again, chunk by chunk.
#[derive(Debug)]
struct Recheck {
    file: FileId,
    record: Record,
    bytes: File,
    /// Of a file that stands under its own name: as it was before.
    stamp: Option<Stamp>,
    /// Worth hashing.
    claimed: ChunkSet,
    /// The first chunk that was not come to yet.
    next: u32,
    current: Option<Check>,
    /// What was found right.
    held: ChunkSet,
}

impl Recheck {
    fn new(file: FileId, record: Record, bytes: File, stamp: Option<Stamp>, claimed: ChunkSet) -> Self {
        let held = ChunkSet::empty(claimed.chunks());
        Self { file, record, bytes, stamp, claimed, next: 0, current: None, held }
    }

    /// Hashes a slice; whether there is more to do.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        let mut budget = SLICE_LEN;
        while budget > 0 {
            let Some(mut check) = self.current.take().or_else(|| self.next_check()) else { return false };
            match check.read_on(&self.bytes, buffer, &mut budget) {
                Ok(false) => self.current = Some(check),
                Ok(true) if self.record.manifest.chunk_hash(check.chunk) == Some(check.hash()) => {
                    self.held.insert(check.chunk);
                }
                // A file that stands under its name is right as a whole or not at all.
                _ if self.stamp.is_some() => return false,
                _ => {}
            }
        }
        true
    }

    fn next_check(&mut self) -> Option<Check> {
        let layout = self.record.manifest.layout();
        let mut rest = (self.next..layout.chunks()).map(ChunkIndex);
        let chunk = rest.find(|chunk| self.claimed.contains(*chunk))?;
        self.next = chunk.0 + 1;
        Some(Check::new(&layout, chunk))
    }
}

impl Worker {
    pub(super) fn restore(&mut self, user: Username) {
        self.user = Some(user);
        // Whatever keeps the state from being opened is told to whoever needs it.
        let _ = self.open_state(false);
        self.restoring.is_asked = true;
    }

    pub(super) fn go_on_restoring(&mut self) {
        if let Some(mut recheck) = self.restoring.current.take() {
            if recheck.go_on(&mut self.buffer) {
                self.restoring.current = Some(recheck);
            } else {
                self.conclude(recheck);
            }
        } else if let Some(file) = self.restoring.new.pop_front() {
            self.examine(file, false);
        } else if let Some(file) = self.restoring.doubtful.pop_front() {
            self.examine(file, true);
        } else {
            self.restoring.is_asked = false;
            self.replies.push(DiskReply::AllRestored);
        }
    }

    /// Takes a file for good, drops it, or has it hashed: later, or now if its time has come.
    fn examine(&mut self, file: FileId, is_due: bool) {
        match self.find(file) {
            Ok(Found::Whole(record, stamp)) => self.restore_whole(file, &record, stamp),
            Ok(Found::Partial(record, held)) => self.restore_partial(file, &record, held),
            Ok(Found::Doubtful(recheck)) if is_due => self.restoring.current = Some(*recheck),
            Ok(Found::Doubtful(_)) => self.restoring.doubtful.push_back(file),
            Ok(Found::Damaged) => {
                self.forget(file);
                self.release(file);
            }
            Ok(Found::Gone(record)) => self.drop_gone(file, &record),
            // It cannot be read now, but perhaps another time.
            Err(_) => self.release(file),
        }
    }

    fn find(&self, file: FileId) -> io::Result<Found> {
        let state = self.state.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let Some((record, record_stamp)) = state.load(file)? else { return Ok(Found::Damaged) };
        let layout = record.manifest.layout();
        if record.whole.is_none() {
            let is_published = state.is_published(file, &self.dir, record.name.as_str());
            match state.open_part(file) {
                Ok(part) if !is_published => {
                    let journal = state.make_journal(file)?;
                    let (claimed, _) = Journal::read(&journal, layout.chunks())?;
                    return Ok(if claimed.is_empty() {
                        Found::Partial(record, claimed)
                    } else {
                        Found::Doubtful(Box::new(Recheck::new(file, record, part, None, claimed)))
                    });
                }
                // It got its name just before the client was ended. The other name goes before the stamp is
                // taken, which tells of that too.
                Ok(_) => state.remove_part(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = match self.dir.open_plain(record.name.as_str()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone(record)),
            Err(error) => return Err(error),
        };
        let stamp = Stamp::of(&bytes)?;
        if stamp.size != layout.size() {
            return Ok(Found::Gone(record));
        }
        if record.whole == Some(stamp) && stamp.was_settled_in(&record_stamp) {
            return Ok(Found::Whole(record, stamp));
        }
        let all = ChunkSet::full(layout.chunks());
        Ok(Found::Doubtful(Box::new(Recheck::new(file, record, bytes, Some(stamp), all))))
    }

    fn conclude(&mut self, recheck: Recheck) {
        let Recheck { file, mut record, bytes, stamp, held, .. } = recheck;
        let Some(stamp) = stamp else {
            return self.restore_partial(file, &record, held);
        };
        let is_still = Stamp::of(&bytes).is_ok_and(|found| found == stamp);
        if !held.is_full() || !is_still || !self.is_unchanged(&record.name, &stamp) {
            return self.drop_gone(file, &record);
        }
        record.whole = Some(stamp);
        if let Some(state) = &self.state {
            // So that it need not be hashed again next time; if that fails, it will be.
            if state.save(&record, file).is_ok() {
                state.remove_part(file);
            }
        }
        self.restore_whole(file, &record, stamp);
    }

    /// Others may still take this user for a holder.
    fn drop_gone(&mut self, file: FileId, record: &Record) {
        self.forget(file);
        self.tell_restored(file, record, ChunkSet::empty(record.manifest.layout().chunks()), false);
    }

    fn restore_whole(&mut self, file: FileId, record: &Record, stamp: Stamp) {
        let (name, layout) = (record.name.clone(), record.manifest.layout());
        self.wholes.insert(file, Whole { name, layout, stamp });
        self.tell_restored(file, record, ChunkSet::full(layout.chunks()), true);
    }

    fn restore_partial(&mut self, file: FileId, record: &Record, held: ChunkSet) {
        let (name, layout) = (record.name.clone(), record.manifest.layout());
        self.partials.insert(file, Partial { name, layout, held: held.clone(), fetching: None });
        self.tell_restored(file, record, held, false);
    }

    fn tell_restored(&mut self, file: FileId, record: &Record, held: ChunkSet, complete: bool) {
        let (name, manifest) = (record.name.clone(), Arc::clone(&record.manifest));
        self.replies.push(DiskReply::Restored { name, manifest, file, held, complete });
        self.release(file);
    }
}

/// What a record turned out to be worth.
enum Found {
    /// A file under its own name, unchanged.
    Whole(Record, Stamp),
    /// A file that is not whole, with what is right of it.
    Partial(Record, ChunkSet),
    /// One must look.
    Doubtful(Box<Recheck>),
    /// Nothing: its file is not there any more, or is another one.
    Gone(Record),
    /// Nothing, and it does not say of what.
    Damaged,
}
