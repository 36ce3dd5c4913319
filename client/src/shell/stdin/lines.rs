//! Splits bytes into lines in bounded memory, however they were cut on their way.

use super::{LINE_LEN_MAX, Typed};

/// How much of a line that is too long is kept, so that the person can tell which one it was.
const START_LEN: usize = 64;

/// The line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    /// Never longer than [`LINE_LEN_MAX`] and the carriage return that may follow.
    held: Vec<u8>,
    /// The line was reported as too long; what follows up to the line feed is thrown away.
    skipping: bool,
}

impl LineSplitter {
    /// Takes bytes in, gives the lines that end in them.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<Typed>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if let Some(rest) = part.strip_suffix(b"\n") {
                self.hold(rest, out);
                self.end_line(out);
            } else {
                self.hold(part, out);
            }
        }
    }

    /// No more bytes will come: a last line without a line feed counts too.
    pub(super) fn end(&mut self, out: &mut Vec<Typed>) {
        if !self.held.is_empty() {
            self.end_line(out);
        }
        out.push(Typed::End);
    }

    fn hold(&mut self, part: &[u8], out: &mut Vec<Typed>) {
        if self.skipping {
            return;
        }
        if self.held.len() + part.len() <= LINE_LEN_MAX + 1 {
            self.held.extend_from_slice(part);
            return;
        }
        self.held.extend(part.iter().take(START_LEN));
        out.push(too_long(&self.held));
        self.held.clear();
        self.skipping = true;
    }

    fn end_line(&mut self, out: &mut Vec<Typed>) {
        let mut line = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.skipping) {
            return;
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        out.push(if line.len() > LINE_LEN_MAX {
            too_long(&line)
        } else {
            String::from_utf8(line).map_or(Typed::NotText, Typed::Line)
        });
    }
}

fn too_long(line: &[u8]) -> Typed {
    let start = line.get(..START_LEN).unwrap_or(line);
    // The cut may go through a character: half of one says nothing.
    let cut = match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => start.len(),
    };
    Typed::TooLong { start: String::from_utf8_lossy(start.get(..cut).unwrap_or(start)).into_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_in_a_line_feed_with_or_without_a_carriage_return() {
        assert_eq!(split(&[b"one\ntwo\r\n\n a\rb \n"]), [line("one"), line("two"), line(""), line(" a\rb ")]);
    }

    #[test]
    fn a_last_line_needs_no_line_feed() {
        assert_eq!(split_to_end(&[b"one\ntw", b"o"]), [line("one"), line("two"), Typed::End]);
        assert_eq!(split_to_end(&[b"one\r"]), [line("one"), Typed::End]);
        assert_eq!(split_to_end(&[b"one\n"]), [line("one"), Typed::End]);
        assert_eq!(split_to_end(&[]), [Typed::End]);
    }

    #[test]
    fn a_line_that_is_no_text_is_told_and_the_next_one_is_read() {
        assert_eq!(split(&[b"a\xff\nb\n"]), [Typed::NotText, line("b")]);
        assert_eq!(split(&["é\n".as_bytes().split_at(1).0, b"\xa9\n"]), [line("é")]);
    }

    #[test]
    fn the_longest_line_fits_and_one_byte_more_does_not() {
        let longest = "x".repeat(LINE_LEN_MAX);
        for end in ["\n", "\r\n"] {
            assert_eq!(split(&[longest.as_bytes(), end.as_bytes()]), [line(&longest)]);
            assert_eq!(split(&[longest.as_bytes(), b"x", end.as_bytes()]), [too_long_x()]);
        }
    }

    #[test]
    fn ten_megabytes_without_a_line_feed_are_told_once_and_held_never() {
        let mut splitter = LineSplitter::default();
        let mut out = Vec::new();
        for _ in 0..10 * 1024 {
            splitter.feed(&[b'x'; 1024], &mut out);
            assert!(splitter.held.capacity() <= 2 * LINE_LEN_MAX + 2);
        }
        assert_eq!(out, [too_long_x()]);
        splitter.feed(b"rest\nnext\n", &mut out);
        assert_eq!(out, [too_long_x(), line("next")]);
    }

    #[test]
    fn the_start_of_a_line_that_is_too_long_ends_on_a_whole_character() {
        let long = "a".to_owned() + &"é".repeat(LINE_LEN_MAX);
        let start = "a".to_owned() + &"é".repeat(31);
        assert_eq!(split(&[long.as_bytes()]), [Typed::TooLong { start }]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            parts in prop::collection::vec(
                prop_oneof![
                    4 => prop::collection::vec(any::<u8>(), 0..8),
                    2 => Just(b"\n".to_vec()),
                    1 => Just(b"\r\n".to_vec()),
                    1 => (LINE_LEN_MAX - 2..LINE_LEN_MAX + 3).prop_map(|len| vec![b'x'; len]),
                ],
                0..24,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let whole = parts.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(whole.len());
            let mut from = 0;
            let mut pieces = Vec::new();
            for cut in cuts {
                pieces.push(&whole[from..cut]);
                from = cut;
            }
            prop_assert_eq!(split_to_end(&pieces), split_to_end(&[&whole]));
        }
    }

    fn line(text: &str) -> Typed {
        Typed::Line(text.to_owned())
    }

    fn too_long_x() -> Typed {
        Typed::TooLong { start: "x".repeat(START_LEN) }
    }

    fn split(pieces: &[&[u8]]) -> Vec<Typed> {
        feed(&mut LineSplitter::default(), pieces)
    }

    fn split_to_end(pieces: &[&[u8]]) -> Vec<Typed> {
        let mut splitter = LineSplitter::default();
        let mut out = feed(&mut splitter, pieces);
        splitter.end(&mut out);
        out
    }

    fn feed(splitter: &mut LineSplitter, pieces: &[&[u8]]) -> Vec<Typed> {
        let mut out = Vec::new();
        for piece in pieces {
            splitter.feed(piece, &mut out);
        }
        out
    }
}
