//! Standard input where only a thread can wait for it (Windows): the thread reads ahead a little, then wakes the
//! loop.

use std::io::{self, Read};
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
        Self::spawn(waker, move |reader| match mode {
            Mode::Lines => reader.read_lines(io::stdin()),
            Mode::Keys => reader.read_keys(),
        })
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

    fn spawn(waker: Arc<Waker>, read: impl FnOnce(Reader) + Send + 'static) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let reader = Reader { sender, waiting: Arc::clone(&waiting), waker };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(reader))?;
        Ok(Self { batches, waiting, wanted: true })
    }
}

/// The thread's end.
struct Reader {
    sender: SyncSender<Vec<Typed>>,
    waiting: Arc<AtomicUsize>,
    waker: Arc<Waker>,
}

impl Reader {
    fn read_lines(self, mut input: impl Read) {
        let mut lines = LineSplitter::default();
        let mut buffer = [0; READ_LEN_MAX];
        loop {
            let mut out = Vec::new();
            let len = match input.read(&mut buffer) {
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn lines_wake_the_loop_and_the_end_is_told_once() {
        let mut input = Input::pipe();
        assert!(!input.stdin.always_ready());
        input.writer.write_all(b"one\r\ntwo\n").unwrap();
        assert_eq!(input.until(2), [line("one"), line("two")]);
        assert!(!input.stdin.always_ready());
        input.writer.write_all(b"three").unwrap();
        let Input { poll, stdin, writer } = input;
        drop(writer);
        let mut input = Input { poll, stdin, writer: io::pipe().unwrap().1 };
        assert_eq!(input.until(2), [line("three"), Typed::End]);
    }

    #[test]
    fn a_loop_that_does_not_want_more_gets_it_later() {
        let mut input = Input::pipe();
        input.stdin.set_wanted(input.poll.registry(), false).unwrap();
        input.writer.write_all(b"one\n").unwrap();
        input.wait();
        let mut out = Vec::new();
        input.stdin.read(input.poll.registry(), &mut out).unwrap();
        assert!(out.is_empty() && !input.stdin.always_ready());
        input.stdin.set_wanted(input.poll.registry(), true).unwrap();
        assert!(input.stdin.always_ready());
        assert_eq!(input.until(1), [line("one")]);
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.to_owned())
    }

    /// Standard input with a loop of its own.
    struct Input {
        poll: Poll,
        stdin: Stdin,
        writer: io::PipeWriter,
    }

    impl Input {
        fn pipe() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(1)).unwrap());
            let (reader, writer) = io::pipe().unwrap();
            let stdin = Stdin::spawn(waker, move |thread| thread.read_lines(reader)).unwrap();
            Self { poll, stdin, writer }
        }

        fn wait(&mut self) {
            let mut events = Events::with_capacity(4);
            self.poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "no event came");
        }

        /// Turns the loop until so many items came.
        fn until(&mut self, count: usize) -> Vec<Typed> {
            let mut out = Vec::new();
            while out.len() < count {
                if !self.stdin.always_ready() {
                    self.wait();
                }
                self.stdin.read(self.poll.registry(), &mut out).unwrap();
            }
            out
        }
    }
}
