//! What the disk thread does next: short jobs in the order they come, and between them slices of the long work.
//!
//! Owns the queues. A file on which long work is done is *busy*: jobs that change it wait until that is over.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError},
    },
};

use mio::Waker;
use protocol::{FileId, Username};

use super::{
    check::Check,
    directory::Directory,
    open_files::OpenFiles,
    partial::Partial,
    restore::Restoring,
    shared::{Hashes, Whole},
    state::State,
};
use crate::core::files::disk::{DiskError, DiskJob, DiskReply, JobId};

/// Short jobs between two slices.
const BATCH_MAX: usize = 16;
/// Bytes that are hashed in one slice: half a millisecond, unless the disk is slow.
pub(super) const SLICE_LEN: u64 = 1024 * 1024;
/// BLAKE3 wants 64 KiB and more at a time; this still fits a processor's cache.
const BUFFER_LEN: usize = 256 * 1024;

/// What comes to the thread.
#[derive(Debug)]
pub(super) enum Message {
    Job(DiskJob),
    /// The bytes of a file that is whole lie safely on the disk, or do not.
    Synced {
        job: JobId,
        file: FileId,
        result: io::Result<()>,
    },
    /// There is nothing more to do.
    End,
}

/// The way back to the loop.
#[derive(Debug)]
pub(super) struct Replies {
    sender: Sender<DiskReply>,
    waker: Arc<Waker>,
    has_news: bool,
}

impl Replies {
    pub(super) fn new(sender: Sender<DiskReply>, waker: Arc<Waker>) -> Self {
        Self { sender, waker, has_news: false }
    }

    pub(super) fn push(&mut self, reply: DiskReply) {
        // Nobody listens only when the client ends.
        self.has_news |= self.sender.send(reply).is_ok();
    }

    fn wake(&mut self) {
        if core::mem::take(&mut self.has_news) {
            // With any other error the loop hears of it at its next turn.
            while self.waker.wake().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
        }
    }
}

/// Everything the disk thread has.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) dir: Directory,
    /// As the user named it.
    pub(super) path: PathBuf,
    messages: Receiver<Message>,
    /// For threads that wait for the disk.
    pub(super) own: Sender<Message>,
    pub(super) replies: Replies,
    pub(super) user: Option<Username>,
    pub(super) state: Option<State>,
    pub(super) wholes: HashMap<FileId, Whole>,
    pub(super) partials: HashMap<FileId, Partial>,
    pub(super) open: OpenFiles,
    pub(super) buffer: Vec<u8>,
    pub(super) restoring: Restoring,
    pub(super) hashes: Hashes,
    /// Chunks whose check was too long for one slice.
    pub(super) checks: VecDeque<(FileId, Check, Arc<File>)>,
    is_turn_of_restoring: bool,
    /// Jobs that waited for a file that is not busy any more.
    ready: VecDeque<DiskJob>,
    waiting: HashMap<FileId, VecDeque<DiskJob>>,
}

impl Worker {
    pub(super) fn new(
        dir: Directory,
        path: PathBuf,
        (messages, own): (Receiver<Message>, Sender<Message>),
        replies: Replies,
    ) -> Self {
        Self {
            dir,
            path,
            messages,
            own,
            replies,
            user: None,
            state: None,
            wholes: HashMap::new(),
            partials: HashMap::new(),
            open: OpenFiles::default(),
            buffer: vec![0; BUFFER_LEN],
            restoring: Restoring::default(),
            hashes: Hashes::default(),
            checks: VecDeque::new(),
            is_turn_of_restoring: false,
            ready: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    /// Works until the end is told.
    pub(super) fn run(mut self) {
        while self.do_short_jobs() {
            self.do_slice();
            self.replies.wake();
        }
    }

    /// From now on jobs that change the file wait.
    pub(super) fn make_busy(&mut self, file: FileId) {
        self.waiting.entry(file).or_default();
    }

    /// The jobs that waited for the file are due.
    pub(super) fn release(&mut self, file: FileId) {
        self.ready.extend(self.waiting.remove(&file).unwrap_or_default());
    }

    /// Opens the user's state, or makes it; the files that it tells of are restored if that was not done before.
    pub(super) fn open_state(&mut self, make: bool) -> Result<(), DiskError> {
        if self.state.is_none() {
            let user = self.user.as_ref().ok_or_else(|| {
                DiskError::Other("cannot keep a file before a user is logged in".to_owned())
            })?;
            self.state = State::open(&self.dir, user, make)?;
            let files = self.state.as_ref().map(State::files).unwrap_or_default();
            for file in &files {
                self.make_busy(*file);
            }
            self.restoring.add(files);
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, job: JobId, error: DiskError) {
        self.replies.push(DiskReply::Failed { job, error });
    }

    /// Whether there is more to come.
    fn do_short_jobs(&mut self) -> bool {
        for _ in 0..BATCH_MAX {
            if let Some(job) = self.ready.pop_front() {
                self.handle(job);
                continue;
            }
            let message = match self.messages.try_recv() {
                Err(TryRecvError::Empty) if self.is_idle() => {
                    self.replies.wake();
                    self.messages.recv().ok()
                }
                Err(TryRecvError::Empty) => return true,
                received => received.ok(),
            };
            match message {
                Some(Message::Job(job)) => self.handle(job),
                Some(Message::Synced { job, file, result }) => self.synced(job, file, result),
                Some(Message::End) | None => return false,
            }
        }
        true
    }

    fn is_idle(&self) -> bool {
        self.checks.is_empty() && self.hashes.is_idle() && self.restoring.is_idle()
    }

    /// A download waits for a check; the two others take turns.
    fn do_slice(&mut self) {
        if let Some((file, check, part)) = self.checks.pop_front() {
            return self.go_on_checking(file, check, part);
        }
        self.is_turn_of_restoring = !self.is_turn_of_restoring;
        if self.restoring.is_idle() || (!self.hashes.is_idle() && !self.is_turn_of_restoring) {
            self.go_on_hashing();
        } else {
            self.go_on_restoring();
        }
    }

    fn handle(&mut self, job: DiskJob) {
        if let Err((number, error)) = self.prepare(&job) {
            return self.fail(number, error);
        }
        if let Some(queue) = changed_file(&job).and_then(|file| self.waiting.get_mut(&file)) {
            if let DiskJob::Begin { manifest, .. } = &job {
                self.restoring.hurry(manifest.id());
            }
            return queue.push_back(job);
        }
        match job {
            DiskJob::Restore { user } => self.restore(user),
            DiskJob::Look { job, name } => self.look(job, &name),
            DiskJob::Hash { job, name, chunks } => self.hashes.add(job, name, chunks),
            DiskJob::StopHashing { job } => self.hashes.stop(job),
            DiskJob::Share { job, name, file } => match self.share(&name, file) {
                Ok(()) => self.replies.push(DiskReply::Shared { job }),
                Err(error) => self.fail(job, error),
            },
            DiskJob::Unshare { file } => self.forget(file),
            DiskJob::Begin { job, name, manifest } => match self.begin(&name, manifest) {
                Ok((held, path)) => self.replies.push(DiskReply::Begun { job, held, path }),
                Err(error) => self.fail(job, error),
            },
            DiskJob::Write { file, chunk, offset, bytes } => self.write(file, chunk, offset, &bytes),
            DiskJob::Verify { file, chunk } => self.verify(file, chunk),
            DiskJob::Finish { job, file } => self.finish(job, file),
            DiskJob::Pause { file } => self.pause(file),
            DiskJob::Read { job, file, chunk, offset, len } => {
                let bytes = self.read(file, chunk, offset, len);
                self.replies.push(DiskReply::Read { job, bytes });
            }
            DiskJob::ReadManifest { job, file, offset } => {
                let bytes = self.read_manifest(file, offset);
                self.replies.push(DiskReply::Read { job, bytes });
            }
        }
    }

    /// What needs state makes it, before it is asked whether the file is busy.
    fn prepare(&mut self, job: &DiskJob) -> Result<(), (JobId, DiskError)> {
        match job {
            DiskJob::Share { job, .. } | DiskJob::Begin { job, .. } => {
                self.open_state(true).map_err(|error| (*job, error))
            }
            _ => Ok(()),
        }
    }
}

/// The file that a job changes. Reading changes nothing and need not wait.
fn changed_file(job: &DiskJob) -> Option<FileId> {
    match job {
        DiskJob::Begin { manifest, .. } => Some(manifest.id()),
        DiskJob::Share { file, .. }
        | DiskJob::Unshare { file }
        | DiskJob::Write { file, .. }
        | DiskJob::Verify { file, .. }
        | DiskJob::Finish { file, .. }
        | DiskJob::Pause { file } => Some(*file),
        _ => None,
    }
}
