//! The thread that turns plain passwords into keys: it takes tens of milliseconds, and the loop must not wait.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use mio::Waker;
use protocol::scram::{Iterations, Verifier};

use super::wake::wake;
use crate::hub::Password;

/// What to derive.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: Arc<str>,
    pub(super) number: u64,
    pub(super) password: Password,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: Iterations,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) name: Arc<str>,
    pub(super) number: u64,
    pub(super) verifier: Verifier,
}

/// Handle of the thread, which ends when this is dropped. At most one job per account is under way, and none for
/// a name without one, so neither queue needs a bound or an order of its own.
#[derive(Debug)]
pub(super) struct Deriver {
    jobs: Sender<Job>,
    done: Receiver<Derived>,
}

impl Deriver {
    pub(super) fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel::<Job>();
        let (finished, done) = mpsc::channel();
        std::thread::Builder::new().name("deriver".to_owned()).spawn(move || {
            for Job { name, number, password, salt, iterations } in to_do {
                let verifier = Verifier::derive(password.expose(), &salt, iterations);
                if finished.send(Derived { name, number, verifier }).is_err() || wake(&waker).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, done })
    }

    pub(super) fn start_job(&self, job: Job) {
        // The thread only ends with this handle.
        let _ = self.jobs.send(job);
    }

    pub(super) fn finished(&self) -> Option<Derived> {
        self.done.try_recv().ok()
    }
}
