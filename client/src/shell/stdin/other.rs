//! Standard input where only a thread can wait for it (Windows): the thread reads ahead a little, then wakes the
//! loop.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use mio::{Registry, Token, Waker};

use super::lines::LineSplitter;
use super::{Mode, READ_LEN_MAX, Typed};
use crate::face::key::Key;

/// Batches that wait for the loop before the thread waits for it too.
const BATCHES_MAX: usize = 16;

/// Standard input.
#[derive(Debug)]
pub struct Stdin {
    batches: Receiver<Vec<Typed>>,
    /// How many batches are surely in the channel.
    waiting: Arc<AtomicUsize>,
    wanted: bool,
}

impl Stdin {
    /// Takes standard input over; `waker` wakes the loop when something came.
    ///
    /// `_registry` and `_token` are for the platforms where the system can be asked.
    pub fn new(_registry: &Registry, _token: Token, waker: Arc<Waker>, mode: Mode) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let reader = Reader { sender, waiting: Arc::clone(&waiting), waker };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || match mode {
            Mode::Lines => reader.read_lines(),
            Mode::Keys => reader.read_keys(),
        })?;
        Ok(Self { batches, waiting, wanted: true })
    }

    /// Whether [`Self::read`] is due: the loop must not wait.
    pub fn always_ready(&self) -> bool {
        self.wanted && self.waiting.load(Ordering::Acquire) > 0
    }

    /// Stops or resumes reading, to hold back whoever writes. Nothing is lost: the thread stops when the channel is
    /// full.
    pub fn set_wanted(&mut self, _registry: &Registry, wanted: bool) -> io::Result<()> {
        self.wanted = wanted;
        Ok(())
    }

    /// Takes one batch, at most the lines of one read.
    pub fn read(&mut self, _registry: &Registry, out: &mut Vec<Typed>) -> io::Result<()> {
        if self.always_ready()
            && let Ok(batch) = self.batches.try_recv()
        {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            out.extend(batch);
        }
        Ok(())
    }

    /// Never: a console tells whole keys.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Nothing is ever waited for.
    pub fn handle_timeout(&mut self, _now: Instant) {}
}

/// The thread's end.
struct Reader {
    sender: SyncSender<Vec<Typed>>,
    waiting: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl Reader {
    fn read_lines(self) {
        let mut lines = LineSplitter::default();
        let mut buffer = [0; READ_LEN_MAX];
        loop {
            let mut out = Vec::new();
            let len = match io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A console that went away and a pipe whose writer died end alike.
                read => read.unwrap_or(0),
            };
            if len == 0 {
                lines.end(&mut out);
                self.hand_over(out);
                return;
            }
            lines.feed(buffer.get(..len).unwrap_or_default(), &mut out);
            if !self.hand_over(out) {
                return;
            }
        }
    }

    fn read_keys(self) {
        loop {
            let typed = match crossterm::event::read() {
                Ok(crossterm::event::Event::Resize(..)) => Some(Typed::Resized),
                Ok(event) => Key::from_terminal(event).map(Typed::Key),
                Err(_) => Some(Typed::End),
            };
            let ended = typed == Some(Typed::End);
            if !self.hand_over(typed.into_iter().collect()) || ended {
                return;
            }
        }
    }

    /// Waits while the channel is full; false when the loop is gone.
    fn hand_over(&self, batch: Vec<Typed>) -> bool {
        if batch.is_empty() {
            return true;
        }
        if self.sender.send(batch).is_err() {
            return false;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        // A loop that cannot be woken is gone.
        self.waker.wake().is_ok()
    }
}
