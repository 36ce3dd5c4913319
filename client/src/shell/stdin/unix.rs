//! Standard input on Unix: polled where the system can, read in turns where it is always ready.
//!
//! The descriptor stays blocking: its mode is shared with the shell that started us and with standard output. So
//! there is one `read` for each event, and the registration is renewed after it because readiness is told once.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};

use super::escape::Keys;
use super::lines::LineSplitter;
use super::{Mode, READ_LEN_MAX, Typed};

/// `EIO`, on every Unix: the terminal is gone, or it is not ours any more.
const TERMINAL_GONE: i32 = 5;

/// Standard input.
#[derive(Debug)]
pub struct Stdin {
    file: File,
    token: Token,
    decoder: Decoder,
    /// The system tells when there is something to read; otherwise there always is.
    polled: bool,
    wanted: bool,
    ended: bool,
}

#[derive(Debug)]
enum Decoder {
    Lines(LineSplitter),
    Keys(Keys),
}

impl Stdin {
    /// Takes standard input over; events come with `token`.
    ///
    /// `_waker` is for the platforms where a thread reads.
    pub fn new(registry: &Registry, token: Token, _waker: Arc<Waker>, mode: Mode) -> io::Result<Self> {
        Self::from_file(File::from(io::stdin().as_fd().try_clone_to_owned()?), registry, token, mode)
    }

    /// Whether [`Self::read`] is due without an event: the loop must not wait.
    pub fn always_ready(&self) -> bool {
        !self.polled && self.wanted && !self.ended
    }

    /// Stops or resumes reading, to hold back whoever writes. Nothing is lost: it waits in the system.
    pub fn set_wanted(&mut self, registry: &Registry, wanted: bool) -> io::Result<()> {
        if self.wanted == wanted {
            return Ok(());
        }
        self.wanted = wanted;
        if let Decoder::Keys(keys) = &mut self.decoder {
            keys.rearm(Instant::now());
        }
        if !self.polled || self.ended {
            return Ok(());
        }
        let fd = self.file.as_raw_fd();
        if wanted {
            registry.register(&mut SourceFd(&fd), self.token, Interest::READABLE)
        } else {
            registry.deregister(&mut SourceFd(&fd))
        }
    }

    /// Reads once, at most 8 KiB. To be called for an event, or when [`Self::always_ready`]: it may block otherwise.
    pub fn read(&mut self, registry: &Registry, out: &mut Vec<Typed>) -> io::Result<()> {
        if !self.wanted || self.ended {
            return Ok(());
        }
        let mut buffer = [0; READ_LEN_MAX];
        let len = match self.file.read(&mut buffer) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                return self.renew(registry);
            }
            Err(error) if error.raw_os_error() == Some(TERMINAL_GONE) => 0,
            Err(error) => return Err(error),
        };
        if len == 0 {
            return self.end(registry, out);
        }
        let bytes = buffer.get(..len).unwrap_or_default();
        match &mut self.decoder {
            Decoder::Lines(lines) => lines.feed(bytes, out),
            Decoder::Keys(keys) => keys.feed(bytes, Instant::now(), out),
        }
        self.renew(registry)
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.decoder {
            Decoder::Keys(keys) if self.wanted && !self.ended => keys.poll_timeout(),
            _ => None,
        }
    }

    /// Gives up waiting for the rest of a key. To be called after [`Self::read`], so that a rest that lies ready
    /// counts.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Decoder::Keys(keys) = &mut self.decoder
            && self.wanted
        {
            keys.handle_timeout(now);
        }
    }

    fn from_file(file: File, registry: &Registry, token: Token, mode: Mode) -> io::Result<Self> {
        let polled = !file.metadata()?.is_file() && {
            match registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE) {
                Ok(()) => true,
                // Linux refuses `/dev/null` with EPERM; macOS refuses it, and `/dev/tty`, with EINVAL.
                Err(error)
                    if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) =>
                {
                    false
                }
                Err(error) => return Err(error),
            }
        };
        let decoder = match mode {
            Mode::Lines => Decoder::Lines(LineSplitter::default()),
            Mode::Keys => Decoder::Keys(Keys::default()),
        };
        Ok(Self { file, token, decoder, polled, wanted: true, ended: false })
    }

    fn end(&mut self, registry: &Registry, out: &mut Vec<Typed>) -> io::Result<()> {
        self.ended = true;
        match &mut self.decoder {
            Decoder::Lines(lines) => lines.end(out),
            Decoder::Keys(_) => out.push(Typed::End),
        }
        // An ended pipe or a terminal that went away would be told as ready for ever.
        if self.polled { registry.deregister(&mut SourceFd(&self.file.as_raw_fd())) } else { Ok(()) }
    }

    fn renew(&self, registry: &Registry) -> io::Result<()> {
        if !self.polled {
            return Ok(());
        }
        registry.reregister(&mut SourceFd(&self.file.as_raw_fd()), self.token, Interest::READABLE)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;
    use crate::face::key::Key;

    const TOKEN: Token = Token(7);

    #[test]
    fn a_pipe_is_read_as_it_fills_and_its_end_is_told_once() {
        let (mut input, mut writer) = Input::pipe(Mode::Lines);
        assert!(!input.stdin.always_ready());
        writer.write_all(b"one\ntw").unwrap();
        assert_eq!(input.turn(), [line("one")]);
        writer.write_all(b"o\nthree").unwrap();
        assert_eq!(input.turn(), [line("two")]);
        drop(writer);
        assert_eq!(input.turn(), [line("three"), Typed::End]);
        assert!(!input.ready_now(), "an ended pipe must not keep the loop awake");
        assert!(!input.stdin.always_ready());
    }

    #[test]
    fn more_than_one_read_holds_is_told_again_without_new_bytes() {
        let (mut input, mut writer) = Input::pipe(Mode::Lines);
        writer.write_all("line\n".repeat(6000).as_bytes()).unwrap();
        let mut lines = 0;
        let mut turns = 0;
        while lines < 6000 {
            let out = input.turn();
            assert!(out.len() <= READ_LEN_MAX / 5 + 1);
            lines += out.len();
            turns += 1;
        }
        assert!(turns > 2);
        assert!(!input.ready_now());
    }

    #[test]
    fn what_comes_while_unwanted_waits_and_is_told_later() {
        let (mut input, mut writer) = Input::pipe(Mode::Lines);
        writer.write_all(b"one\n").unwrap();
        input.want(false);
        writer.write_all(b"two\n").unwrap();
        assert!(!input.ready_now());
        let mut out = Vec::new();
        input.stdin.read(input.poll.registry(), &mut out).unwrap();
        assert_eq!(out, []);
        input.want(true);
        assert_eq!(input.turn(), [line("one"), line("two")]);
    }

    #[test]
    fn a_stop_right_after_the_event_loses_nothing() {
        let (mut input, mut writer) = Input::pipe(Mode::Lines);
        writer.write_all(b"one\n").unwrap();
        assert!(input.ready_now());
        input.want(false);
        input.want(true);
        drop(writer);
        assert_eq!(input.turn(), [line("one")]);
        assert_eq!(input.turn(), [Typed::End]);
    }

    #[test]
    fn a_regular_file_is_always_ready_until_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo").unwrap();
        file.rewind().unwrap();
        let mut input = Input::new(file, Mode::Lines);
        assert!(input.stdin.always_ready());
        input.want(false);
        assert!(!input.stdin.always_ready());
        input.want(true);
        assert_eq!(input.read(), [line("one")]);
        assert!(input.stdin.always_ready());
        assert_eq!(input.read(), [line("two"), Typed::End]);
        assert!(!input.stdin.always_ready());
    }

    #[test]
    fn nothing_at_all_is_an_end() {
        let mut input = Input::new(File::open("/dev/null").unwrap(), Mode::Lines);
        let out = if input.stdin.always_ready() { input.read() } else { input.turn() };
        assert_eq!(out, [Typed::End]);
    }

    #[test]
    fn an_escape_held_while_unwanted_gets_its_full_time_again() {
        let (mut input, mut writer) = Input::pipe(Mode::Keys);
        writer.write_all(b"a\x1b").unwrap();
        assert_eq!(input.turn(), [Typed::Key(Key::Char('a'))]);
        let deadline = input.stdin.poll_timeout().unwrap();
        input.want(false);
        assert_eq!(input.stdin.poll_timeout(), None);
        input.stdin.handle_timeout(deadline + Duration::from_secs(1));
        writer.write_all(b"[A").unwrap();
        input.want(true);
        assert!(input.stdin.poll_timeout().is_some());
        assert_eq!(input.turn(), [Typed::Key(Key::Up)]);
        drop(writer);
        assert_eq!(input.turn(), [Typed::End]);
        assert_eq!(input.stdin.poll_timeout(), None);
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.to_owned())
    }

    /// Standard input with a loop of its own.
    struct Input {
        poll: Poll,
        stdin: Stdin,
    }

    impl Input {
        fn new(file: File, mode: Mode) -> Self {
            let poll = Poll::new().unwrap();
            let stdin = Stdin::from_file(file, poll.registry(), TOKEN, mode).unwrap();
            Self { poll, stdin }
        }

        fn pipe(mode: Mode) -> (Self, io::PipeWriter) {
            let (reader, writer) = io::pipe().unwrap();
            (Self::new(File::from(std::os::fd::OwnedFd::from(reader)), mode), writer)
        }

        /// Waits for an event and reads.
        fn turn(&mut self) -> Vec<Typed> {
            assert!(self.wait(Duration::from_secs(10)), "no event came");
            self.read()
        }

        fn read(&mut self) -> Vec<Typed> {
            let mut out = Vec::new();
            self.stdin.read(self.poll.registry(), &mut out).unwrap();
            out
        }

        fn ready_now(&mut self) -> bool {
            self.wait(Duration::ZERO)
        }

        fn want(&mut self, wanted: bool) {
            self.stdin.set_wanted(self.poll.registry(), wanted).unwrap();
        }

        fn wait(&mut self, limit: Duration) -> bool {
            let mut events = Events::with_capacity(4);
            self.poll.poll(&mut events, Some(limit)).unwrap();
            events.iter().any(|event| event.token() == TOKEN)
        }
    }
}
