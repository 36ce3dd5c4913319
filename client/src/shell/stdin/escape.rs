//! Keys out of the bytes a terminal sends.
//!
//! Owns the limits that the parser lacks: how long an escape sequence may stay unfinished, and how much of a paste
//! is held at once. Must not read a clock.

use std::time::{Duration, Instant};

use termina::Parser;

use super::Typed;
use crate::face::key::Key;

/// How long the rest of an escape sequence may take. A person who presses Escape, or Alt with a bracket, sends no
/// rest: without this limit the next keys would be swallowed while the parser waits for one.
const ESCAPE_MS: u64 = 50;
const ESCAPE: u8 = 0x1b;
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// A longer paste is handed on in several, in bytes.
const PASTE_LEN_MAX: usize = 64 * 1024;

/// Turns bytes into keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    parser: Parser,
    /// The last bytes fed, as many as the mark of a paste has.
    tail: [u8; PASTE_START.len()],
    /// An escape sequence has begun and not ended.
    escape: bool,
    /// Bytes of the paste that has begun and not ended.
    paste_len: Option<usize>,
    deadline: Option<Instant>,
}

impl Keys {
    /// Takes bytes in that were read at `now`.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<Typed>) {
        for &byte in bytes {
            self.cut_paste(byte, out);
            self.feed_byte(byte, out);
        }
        self.rearm(now);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Gives an escape sequence up whose rest did not come in time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            *self = Self::default();
        }
    }

    /// Gives an unfinished escape sequence its full time again, after a while in which nothing was read.
    pub(super) fn rearm(&mut self, now: Instant) {
        let waiting = self.escape && self.paste_len.is_none();
        self.deadline = waiting.then(|| now + Duration::from_millis(ESCAPE_MS));
    }

    /// Ends a paste that has grown too long and begins another one, where that splits neither a character nor a
    /// line end nor the mark of its end.
    fn cut_paste(&mut self, next: u8, out: &mut Vec<Typed>) {
        let inside_character = next & 0xc0 == 0x80;
        let inside_mark = (1..PASTE_END.len())
            .any(|len| PASTE_END.get(..len).is_some_and(|begun| self.tail.ends_with(begun)));
        let full = self.paste_len.is_some_and(|len| len >= PASTE_LEN_MAX);
        if full && !inside_character && !inside_mark && next != b'\n' {
            PASTE_END.iter().chain(PASTE_START).for_each(|&byte| self.feed_byte(byte, out));
        }
    }

    fn feed_byte(&mut self, byte: u8, out: &mut Vec<Typed>) {
        self.tail.rotate_left(1);
        if let Some(last) = self.tail.last_mut() {
            *last = byte;
        }
        self.escape |= byte == ESCAPE;
        if let Some(len) = &mut self.paste_len {
            *len += 1;
        } else if self.tail == PASTE_START {
            self.paste_len = Some(0);
        }
        self.parser.parse(&[byte], true);
        while let Some(event) = self.parser.pop() {
            self.escape = false;
            self.paste_len = None;
            out.extend(Key::from_terminal(event).map(Typed::Key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_split_anywhere_is_one_key() {
        let bytes = "a\x1b[D\x1bOH\x1b[3~é\r\x03\x1b[200~x\ry\x1b[201~".as_bytes();
        let whole = [
            Key::Char('a'),
            Key::Left,
            Key::Home,
            Key::Delete,
            Key::Char('é'),
            Key::Enter,
            Key::Ctrl('c'),
            Key::Paste("x\ry".to_owned()),
        ]
        .map(Typed::Key);
        for cut in 0..bytes.len() {
            let (keys, mut out) = (&mut Keys::default(), Vec::new());
            keys.feed(&bytes[..cut], Instant::now(), &mut out);
            keys.feed(&bytes[cut..], Instant::now(), &mut out);
            assert_eq!(out, whole, "cut at {cut}");
            assert_eq!(keys.poll_timeout(), None);
        }
    }

    #[test]
    fn an_escape_alone_does_not_swallow_the_key_after_it() {
        // Escape, Alt-[, Alt-O, Alt-], Alt-P: each is the start of a longer sequence.
        for start in ["\x1b", "\x1b[", "\x1bO", "\x1b]", "\x1bP", "\x1b[1;"] {
            let (keys, mut out) = (&mut Keys::default(), Vec::new());
            let now = Instant::now();
            keys.feed(start.as_bytes(), now, &mut out);
            let deadline = keys.poll_timeout().expect("a limit on the wait");
            assert!(deadline > now && deadline <= now + Duration::from_millis(50));
            keys.handle_timeout(now);
            assert_eq!(keys.poll_timeout(), Some(deadline), "given up before its time");
            keys.handle_timeout(deadline);
            assert_eq!(keys.poll_timeout(), None);
            keys.feed(b"ab", now, &mut out);
            assert_eq!(out, [Typed::Key(Key::Char('a')), Typed::Key(Key::Char('b'))], "{start:?}");
        }
    }

    #[test]
    fn a_slow_paste_is_not_given_up() {
        let (keys, mut out) = (&mut Keys::default(), Vec::new());
        let now = Instant::now();
        keys.feed(b"\x1b[200~one ", now, &mut out);
        assert_eq!(keys.poll_timeout(), None);
        keys.handle_timeout(now + Duration::from_secs(9));
        keys.feed(b"two\x1b[201~", now, &mut out);
        assert_eq!(out, [Typed::Key(Key::Paste("one two".to_owned()))]);
    }

    #[test]
    fn a_long_paste_comes_in_pieces_that_lose_nothing() {
        for (lead, line) in [("", "é漢\r\n"), ("", "漢"), ("", "\r\n"), ("a", "\r\n"), ("", "ab\x1b[cd")] {
            let text = lead.to_owned() + &line.repeat(3 * PASTE_LEN_MAX / line.len());
            let (keys, mut out) = (&mut Keys::default(), Vec::new());
            keys.feed(format!("\x1b[200~{text}\x1b[201~z").as_bytes(), Instant::now(), &mut out);
            assert_eq!(out.pop(), Some(Typed::Key(Key::Char('z'))));
            let mut joined = String::new();
            for piece in &out {
                let Typed::Key(Key::Paste(piece)) = piece else { panic!("{piece:?}") };
                assert!(piece.len() < PASTE_LEN_MAX + 32, "{}", piece.len());
                assert!(!joined.ends_with('\r') || !piece.starts_with('\n'), "a line end was split");
                joined.push_str(piece);
            }
            assert!(out.len() > 2);
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_dropped_and_keys_go_on() {
        let (keys, mut out) = (&mut Keys::default(), Vec::new());
        keys.feed(b"\xff\xfe\x1b[<\x1b[xa", Instant::now(), &mut out);
        keys.handle_timeout(Instant::now() + Duration::from_secs(1));
        keys.feed(b"b", Instant::now(), &mut out);
        assert_eq!(out.last(), Some(&Typed::Key(Key::Char('b'))));
    }
}
