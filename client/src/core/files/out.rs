//! What every part of `Files` needs to speak to the outside: the outputs, the links that stand, and who waits for
//! which answer.
//!
//! Must not know what any of it is about.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use protocol::{ErrorCode, FileId, PeerFrame, Username, time::MonoMs};

use super::{
    AskId, FilesOutput, Question,
    disk::{DiskError, DiskJob, JobId},
};
use crate::core::{Event, peers::LinkId};

/// While chunks move, the server hears of it so often: far more often than any time-out of its own.
const ACTIVE_PAUSE: Duration = Duration::from_millis(500);

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The command of that number.
    Register(u64),
    /// The command of that number.
    Inquiry(u64),
    /// The `download` of that number, which has not found its file yet.
    Start(u64),
    Download(FileId),
    Upload(LinkId),
}

#[derive(Debug)]
pub(super) struct OpenLink {
    pub(super) user: Username,
    /// Bytes of frames that the link has not taken yet.
    pub(super) waiting_len: usize,
    /// When it last took some of them, or the first of them came.
    pub(super) moved_at: MonoMs,
}

#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) now: MonoMs,
    pub(super) links: BTreeMap<LinkId, OpenLink>,
    queue: VecDeque<FilesOutput>,
    last: u64,
    asks: BTreeMap<AskId, Owner>,
    jobs: BTreeMap<JobId, Owner>,
    active_at: Option<MonoMs>,
}

impl Out {
    pub(super) fn poll(&mut self) -> Option<FilesOutput> {
        self.queue.pop_front()
    }

    pub(super) fn push(&mut self, output: FilesOutput) {
        self.queue.push_back(output);
    }

    pub(super) fn show(&mut self, event: Event) {
        self.push(FilesOutput::Show(event));
    }

    /// A command failed.
    pub(super) fn fail(&mut self, number: u64, command: &str, code: ErrorCode, text: impl Into<String>) {
        self.show(Event::Error { number, command: command.to_owned(), code, text: text.into() });
    }

    pub(super) fn ask(&mut self, owner: Owner, question: Question) {
        self.last += 1;
        let ask = AskId(self.last);
        self.asks.insert(ask, owner);
        self.push(FilesOutput::Ask { ask, question });
    }

    pub(super) fn asked(&mut self, ask: AskId) -> Option<Owner> {
        self.asks.remove(&ask)
    }

    /// A job that is answered under the number it is given here.
    pub(super) fn job(&mut self, owner: Owner, job: impl FnOnce(JobId) -> DiskJob) -> JobId {
        self.last += 1;
        let id = JobId(self.last);
        self.jobs.insert(id, owner);
        self.disk(job(id));
        id
    }

    pub(super) fn owner(&self, job: JobId) -> Option<Owner> {
        self.jobs.get(&job).copied()
    }

    /// The job has had its last answer, or none is wanted any more.
    pub(super) fn job_over(&mut self, job: JobId) -> Option<Owner> {
        self.jobs.remove(&job)
    }

    pub(super) fn disk(&mut self, job: DiskJob) {
        self.push(FilesOutput::Disk(job));
    }

    pub(super) fn send(&mut self, link: LinkId, frame: &PeerFrame<'_>) {
        let Some(open) = self.links.get_mut(&link) else { return };
        let frame = frame.encode();
        if open.waiting_len == 0 {
            open.moved_at = self.now;
        }
        open.waiting_len = open.waiting_len.saturating_add(frame.len());
        self.push(FilesOutput::Send { link, frame });
    }

    /// The link has taken some; so many bytes still wait.
    pub(super) fn drained(&mut self, link: LinkId, waiting_len: usize) {
        if let Some(open) = self.links.get_mut(&link) {
            open.moved_at = self.now;
            open.waiting_len = waiting_len;
        }
    }

    pub(super) fn waiting_len(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, |open| open.waiting_len)
    }

    /// A standing link to that user.
    pub(super) fn link_to(&self, user: &Username) -> Option<LinkId> {
        self.links.iter().find(|(_, open)| open.user == *user).map(|(&link, _)| link)
    }

    /// Bytes of a chunk move.
    pub(super) fn active(&mut self) {
        if self.active_at.is_none_or(|at| self.now.since(at) >= ACTIVE_PAUSE) {
            self.active_at = Some(self.now);
            self.push(FilesOutput::Active);
        }
    }
}

/// What a command says when the disk did not do its part.
pub(super) fn disk_failure(name: &str, error: &DiskError) -> (ErrorCode, String) {
    match error {
        DiskError::NoSuchFile => (ErrorCode::NoSuchFile, no_such_file(name)),
        DiskError::Full => (
            ErrorCode::DiskFull,
            format!(
                "There is no room for '{name}': {error}. Make room and try again; what you have of it is kept."
            ),
        ),
        DiskError::Exists => (
            ErrorCode::Exists,
            format!(
                "A file named '{name}' is in your directory, and nothing is written over it. Move it away and try again."
            ),
        ),
        DiskError::Changed => (
            ErrorCode::LocalFile,
            format!("'{name}' was changed meanwhile. Try again when nothing writes to it any more."),
        ),
        DiskError::Other(_) => (
            ErrorCode::LocalFile,
            format!(
                "Your copy of '{name}' cannot be used: {error}. Check the directory and its permissions, then try again."
            ),
        ),
    }
}

pub(super) fn no_such_file(name: &str) -> String {
    format!("There is no plain file '{name}' in your directory; links, devices and directories do not count.")
}

pub(super) const NOT_CONNECTED: &str =
    "There is no connection to the server, which knows who has the file. Try again when there is.";
