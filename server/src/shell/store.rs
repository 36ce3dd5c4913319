//! The thread that owns the store: a commit takes as long as the disk does, and the loop must not wait.
//!
//! Jobs are done and answered in their order. Their number needs no bound of its own: the hub has one batch on its
//! way at a time, and at most one more and one page for each connection that logs in.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread::JoinHandle,
};

use mio::Waker;
use protocol::Username;

use crate::{
    hub::{ConnId, MailboxPage, Sequence, StoreOperation},
    quiet::Outage,
    store::Store,
};

/// What to do.
#[derive(Debug)]
pub(super) enum Job {
    Commit { batch: u64, operations: Vec<StoreOperation> },
    Load { conn: ConnId, user: Username, after: Sequence, len_max: usize },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Committed { batch: u64, durable: bool },
    Loaded { conn: ConnId, page: Option<MailboxPage> },
}

/// Handle of the thread. When it is dropped the thread finishes its jobs and closes the database.
#[derive(Debug)]
pub(super) struct StoreThread {
    jobs: Option<Sender<Job>>,
    done: Receiver<Done>,
    /// How the jobs that are not answered yet are answered if the thread should be gone: in vain.
    in_vain: VecDeque<Done>,
    thread: Option<JoinHandle<()>>,
}

impl StoreThread {
    pub(super) fn start(store: Store, waker: Arc<Waker>) -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let mut clerk = Clerk { store, commits: Outage::default(), loads: Outage::default() };
            for job in to_do {
                if finished.send(clerk.carry_out(job)).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), done, in_vain: VecDeque::new(), thread: Some(thread) })
    }

    pub(super) fn start_job(&mut self, job: Job) {
        self.in_vain.push_back(match &job {
            Job::Commit { batch, .. } => Done::Committed { batch: *batch, durable: false },
            Job::Load { conn, .. } => Done::Loaded { conn: *conn, page: None },
        });
        if let Some(jobs) = &self.jobs {
            // Without the thread this is answered in vain.
            let _ = jobs.send(job);
        }
    }

    pub(super) fn finished(&mut self) -> Option<Done> {
        match self.done.try_recv() {
            Ok(done) => {
                self.in_vain.pop_front();
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => self.in_vain.pop_front(),
        }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the store did not end well");
        }
    }
}

/// What the thread does. The loop can do nothing about an error but hold back what depends on it, so it is told
/// here, when it begins and when it is over.
struct Clerk {
    store: Store,
    commits: Outage,
    loads: Outage,
}

impl Clerk {
    fn carry_out(&mut self, job: Job) -> Done {
        match job {
            Job::Commit { batch, operations } => {
                let outcome = self.store.commit(&operations);
                match &outcome {
                    Ok(()) => {
                        if let Some(failures) = self.commits.works() {
                            log::warn!("the store takes changes again, after {failures} failures");
                        }
                    }
                    Err(error) => {
                        if self.commits.fails() {
                            log::error!(
                                "the store takes no changes, and what depends on them is refused until it does: {error}"
                            );
                        }
                    }
                }
                Done::Committed { batch, durable: outcome.is_ok() }
            }
            Job::Load { conn, user, after, len_max } => {
                let outcome = self.store.load(&user, after, len_max);
                match &outcome {
                    Ok(_) => {
                        if let Some(failures) = self.loads.works() {
                            log::warn!("waiting messages can be read again, after {failures} failures");
                        }
                    }
                    Err(error) => {
                        if self.loads.fails() {
                            log::error!("waiting messages cannot be read: {error}");
                        }
                    }
                }
                Done::Loaded { conn, page: outcome.ok() }
            }
        }
    }
}
