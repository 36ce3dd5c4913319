//! Downloads: room for a file, its blocks, its chunks, and at last its name.
//!
//! Must not know where the blocks come from.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use protocol::{ChunkIndex, ChunkSet, FileId, FileName, Manifest};

use super::{
    check::Check,
    directory::{allocated_bytes, read_new},
    failed,
    journal::Journal,
    partial::{Fetching, Partial, not_begun},
    record::Record,
    shared::Whole,
    stamp::Stamp,
    state::State,
    worker::{Message, SLICE_LEN, Worker},
};
use crate::core::files::disk::{DiskError, DiskReply, JobId};

impl Worker {
    /// The chunks that are there, and where the bytes lie.
    pub(super) fn begin(
        &mut self,
        name: &FileName,
        manifest: Arc<Manifest>,
    ) -> Result<(ChunkSet, PathBuf), DiskError> {
        let (file, layout) = (manifest.id(), manifest.layout());
        if self.dir.has(name.as_str()).map_err(failed("look into the directory"))? {
            return Err(DiskError::Exists);
        }
        if let Some(whole) = self.wholes.get(&file) {
            return Err(DiskError::Other(format!("the same file is there already, as '{}'", whole.name)));
        }
        let state = self.state.as_ref().ok_or_else(not_begun)?;
        let known = self.partials.get(&file);
        let held = known.map_or_else(|| ChunkSet::empty(layout.chunks()), |partial| partial.held.clone());
        let is_named_so = known.is_some_and(|partial| partial.name == *name);
        let prepared = prepare(state, file, name, &manifest, &held, is_named_so);
        let (part, journal) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                if known.is_none() {
                    state.forget(file);
                }
                return Err(error);
            }
        };
        let path = self.path.join(state.part_path(file));
        let fetching = Some(Fetching::new(manifest, Arc::new(part), journal));
        self.partials.insert(file, Partial { name: name.clone(), layout, held: held.clone(), fetching });
        Ok((held, path))
    }

    pub(super) fn write(&mut self, file: FileId, chunk: ChunkIndex, offset: u64, bytes: &[u8]) {
        let partial = self.partials.get_mut(&file).ok_or_else(not_begun);
        self.replies.push(match partial.and_then(|partial| partial.write(chunk, offset, bytes)) {
            Ok(()) => DiskReply::Wrote { file, len: bytes.len() },
            Err(error) => DiskReply::Broken { file, error },
        });
    }

    pub(super) fn verify(&mut self, file: FileId, chunk: ChunkIndex) {
        let partial = self.partials.get_mut(&file).ok_or_else(not_begun);
        match partial.and_then(|partial| partial.check(chunk)) {
            Ok((check, part)) => {
                self.make_busy(file);
                self.go_on_checking(file, check, part);
            }
            Err(error) => self.replies.push(DiskReply::Broken { file, error }),
        }
    }

    /// One slice of a check; the file is busy until it is over.
    pub(super) fn go_on_checking(&mut self, file: FileId, mut check: Check, part: Arc<File>) {
        let mut budget = SLICE_LEN;
        let read = check.read_on(&part, &mut self.buffer, &mut budget);
        if matches!(read, Ok(false)) {
            return self.checks.push_back((file, check, part));
        }
        let judged = match (read, self.partials.get_mut(&file)) {
            (Ok(_), Some(partial)) => partial.judge(&check),
            (Err(error), _) => Err(failed("read the file")(error)),
            (_, None) => Err(not_begun()),
        };
        self.replies.push(match judged {
            Ok(right) => DiskReply::Verified { file, chunk: check.chunk, right },
            Err(error) => DiskReply::Broken { file, error },
        });
        self.release(file);
    }

    /// Waits for the disk elsewhere, so that nothing here waits for it.
    pub(super) fn finish(&mut self, job: JobId, file: FileId) {
        let part = match self.finished_part(file) {
            Ok(part) => part,
            Err(error) => return self.fail(job, error),
        };
        self.make_busy(file);
        let own = self.own.clone();
        let wait = move || {
            // The thread may have ended meanwhile.
            let _ = own.send(Message::Synced { job, file, result: part.sync_all() });
        };
        if let Err(error) = std::thread::Builder::new().name("disk sync".to_owned()).spawn(wait) {
            self.synced(job, file, Err(error));
        }
    }

    /// The bytes of a whole file are safe, so it gets its name.
    pub(super) fn synced(&mut self, job: JobId, file: FileId, result: io::Result<()>) {
        match result.map_err(failed("write the file to the disk")).and_then(|()| self.publish(file)) {
            Ok(path) => self.replies.push(DiskReply::Finished { job, path }),
            Err(error) => self.fail(job, error),
        }
        self.release(file);
    }

    pub(super) fn pause(&mut self, file: FileId) {
        if let Some(partial) = self.partials.get_mut(&file) {
            partial.fetching = None;
        }
    }

    pub(super) fn read_partial(
        &mut self,
        file: FileId,
        chunk: ChunkIndex,
        at: u64,
        len: usize,
    ) -> Result<Vec<u8>, DiskError> {
        let partial = self.partials.get(&file).filter(|partial| partial.held.contains(chunk));
        let (Some(partial), Some(state)) = (partial, &self.state) else {
            return Err(DiskError::NoSuchFile);
        };
        let read = match &partial.fetching {
            Some(fetching) => read_new(&fetching.part, len, at),
            None => self.open.get(file, || state.open_part(file)).and_then(|part| read_new(&part, len, at)),
        };
        read.map_err(failed("read the file"))
    }

    fn finished_part(&self, file: FileId) -> Result<Arc<File>, DiskError> {
        let partial = self.partials.get(&file).filter(|partial| partial.held.is_full());
        let (Some(partial), Some(state)) = (partial, &self.state) else {
            return Err(DiskError::Other("the file is not whole yet".to_owned()));
        };
        match &partial.fetching {
            Some(fetching) => Ok(Arc::clone(&fetching.part)),
            None => state.make_part(file).map(Arc::new).map_err(failed("open the file")),
        }
    }

    fn publish(&mut self, file: FileId) -> Result<PathBuf, DiskError> {
        let part = self.finished_part(file)?;
        let (Some(partial), Some(state)) = (self.partials.get(&file), &self.state) else {
            return Err(not_begun());
        };
        let (name, layout) = (partial.name.clone(), partial.layout);
        match state.publish(file, &self.dir, name.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(DiskError::Exists),
            published => published.map_err(failed("give the file its name"))?,
        }
        let manifest = match &partial.fetching {
            Some(fetching) => Some(Arc::clone(&fetching.manifest)),
            None => state.load(file).ok().flatten().map(|(record, _)| record.manifest),
        };
        let stamp = Stamp::of(&part).ok().filter(|stamp| self.is_unchanged(&name, stamp));
        self.partials.remove(&file);
        self.open.close(file);
        if let (Some(stamp), Some(manifest)) = (stamp, manifest) {
            let record = Record { name: name.clone(), whole: Some(stamp), manifest };
            // If that cannot be noted now, the next run finds the file by its old record and hashes it.
            if state.save(&record, file).is_ok() {
                state.remove_part(file);
            }
            self.wholes.insert(file, Whole { name: name.clone(), layout, stamp });
        } else {
            // Somebody was at it at once: it is his now.
            self.forget(file);
            self.replies.push(DiskReply::Changed { file });
        }
        Ok(self.path.join(name.as_str()))
    }
}

/// Makes the files that a download needs, if there is room.
fn prepare(
    state: &State,
    file: FileId,
    name: &FileName,
    manifest: &Arc<Manifest>,
    held: &ChunkSet,
    is_named_so: bool,
) -> Result<(File, Journal), DiskError> {
    let size = manifest.layout().size();
    let allocated = state.open_part(file).map_or(0, |part| allocated_bytes(&part));
    if state.free_bytes().is_some_and(|free| free < size.saturating_sub(allocated)) {
        return Err(DiskError::Full);
    }
    if !is_named_so {
        let record = Record { name: name.clone(), whole: None, manifest: Arc::clone(manifest) };
        state.save(&record, file).map_err(failed("begin the download"))?;
    }
    let part = state.make_part(file).map_err(failed("begin the download"))?;
    part.set_len(size).map_err(failed("begin the download"))?;
    let journal = resume_journal(state, file, held).map_err(failed("begin the download"))?;
    Ok((part, journal))
}

/// The journal of a file of which these chunks are there: another one first, if it says anything else.
fn resume_journal(state: &State, file: FileId, held: &ChunkSet) -> io::Result<Journal> {
    let mut journal = state.make_journal(file)?;
    if Journal::read(&journal, held.chunks())? != (held.clone(), true) {
        state.replace_journal(file, &Journal::of(held))?;
        journal = state.make_journal(file)?;
    }
    Ok(Journal::resume(journal, held.len()))
}
