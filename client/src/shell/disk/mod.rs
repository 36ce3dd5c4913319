//! The disk thread: it alone reads and writes the files of `--dir`, so that the loop never waits for a disk.
//!
//! Owns the directory, what is kept in it from one run to the next, and the order of the work: short jobs go
//! before hashing, which is done in slices. Must not know links, holders or commands: it speaks the language of
//! [`crate::core::files::disk`].

mod check;
mod directory;
mod downloads;
mod hashing;
mod journal;
mod open_files;
mod partial;
mod record;
mod restore;
mod shared;
mod stamp;
mod state;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Builder, JoinHandle},
};

use mio::Waker;

use crate::core::files::disk::{DiskError, DiskJob, DiskReply};
use directory::Directory;
use worker::{Message, Replies, Worker};

/// The loop's end of the disk thread.
#[derive(Debug)]
pub(super) struct Disk {
    messages: Sender<Message>,
    replies: Receiver<DiskReply>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread for that directory, which must be there. Nothing is written until a job needs it.
    /// `waker` wakes the loop when there are replies.
    pub(super) fn start(dir: PathBuf, waker: Arc<Waker>) -> io::Result<Self> {
        // A write beyond `ulimit -f` must be an error, and not the end of the client.
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
        let opened = Directory::open(&dir)?;
        let (messages, inbox) = channel();
        let (outbox, replies) = channel();
        let worker = Worker::new(opened, dir, (inbox, messages.clone()), Replies::new(outbox, waker));
        let thread = Builder::new().name("disk".to_owned()).spawn(move || worker.run())?;
        Ok(Self { messages, replies, thread: Some(thread) })
    }

    /// Gives the thread a job. How much waits there is bounded by whoever gives the jobs.
    pub(super) fn give(&self, job: DiskJob) {
        // The thread lives as long as this.
        let _ = self.messages.send(Message::Job(job));
    }

    /// The next reply, if there is one.
    pub(super) fn take(&self) -> Option<DiskReply> {
        self.replies.try_recv().ok()
    }
}

impl Drop for Disk {
    /// Short jobs that were given are still done; a hash is broken off.
    fn drop(&mut self) {
        let _ = self.messages.send(Message::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the system said while `doing`, in a sentence for people.
fn failed(doing: &str) -> impl FnOnce(io::Error) -> DiskError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            DiskError::Full
        }
        _ => DiskError::Other(format!("cannot {doing}: {error}")),
    }
}

/// The same for a file that somebody named.
fn unreadable(error: io::Error) -> DiskError {
    if error.kind() == io::ErrorKind::NotFound {
        DiskError::NoSuchFile
    } else {
        failed("read the file")(error)
    }
}
