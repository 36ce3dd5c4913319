//! Tagged lines: the inside of a frame. `tag field field …`, and behind a line feed an optional payload.
//!
//! Owns the syntax, both ways. Must not know any tag; `tags` does. A tag and a username stand in different
//! places, so no name can pass for the server's word, and no value can hold what separates values.

use thiserror::Error;

use crate::{field::Field, frame::Frame, frame::FrameError};

/// A frame's body, taken apart but not yet understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The first word.
    pub tag: &'a str,
    /// The rest of the line, without the space behind the tag; empty when there are no fields.
    fields: &'a str,
    /// What stands behind the line feed; `None` without a line feed.
    pub payload: Option<&'a [u8]>,
}

/// What the other side sent is not the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Not even frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The line is no UTF-8, or holds a control character, a doubled, leading or trailing space, or nothing.
    #[error("a frame's line is malformed")]
    Line,
    /// A tag that is not in the table, or not this side's to send, or not in this state of the connection.
    #[error("a '{tag}' frame has no place here")]
    Tag {
        /// The tag, as far as it is printable ASCII, at most 32 characters.
        tag: String,
    },
    /// A field is missing, one too many, or not of its kind.
    #[error("a '{tag}' frame has a bad or missing field: {field}")]
    Field {
        /// The frame's tag.
        tag: &'static str,
        /// The field's name in the table, or "end of line".
        field: &'static str,
    },
    /// A payload is missing, or there where none belongs, or no UTF-8.
    #[error("a '{tag}' frame has a missing, unexpected or malformed payload")]
    Payload {
        /// The frame's tag.
        tag: &'static str,
    },
}

impl<'a> Line<'a> {
    /// Takes a body apart.
    pub fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        let (line, payload) = match body.iter().position(|&b| b == b'\n') {
            Some(end) => (body.get(..end), body.get(end + 1..)),
            None => (Some(body), None),
        };
        let line = line.and_then(|bytes| str::from_utf8(bytes).ok()).ok_or(ProtocolError::Line)?;
        let well_formed = !line.is_empty()
            && !line.chars().any(char::is_control)
            && line.split(' ').all(|part| !part.is_empty());
        if !well_formed {
            return Err(ProtocolError::Line);
        }
        let (tag, fields) = line.split_once(' ').unwrap_or((line, ""));
        Ok(Self { tag, fields, payload })
    }

    /// A reader of the fields of a frame that is known to be a `tag`.
    pub fn fields(&self, tag: &'static str) -> FieldReader<'a> {
        FieldReader { tag, rest: self.fields }
    }
}

/// Reads a line's fields from left to right, each as the type it must be.
#[derive(Debug)]
pub struct FieldReader<'a> {
    tag: &'static str,
    rest: &'a str,
}

impl FieldReader<'_> {
    /// The next field, whose name in the table is `name`.
    pub fn take<T: Field>(&mut self, name: &'static str) -> Result<T, ProtocolError> {
        let (field, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        let value = T::read(field).ok_or(ProtocolError::Field { tag: self.tag, field: name })?;
        self.rest = rest;
        Ok(value)
    }

    /// All fields that are left.
    pub fn take_all<T: Field>(&mut self, name: &'static str) -> Result<Vec<T>, ProtocolError> {
        let mut all = Vec::new();
        while self.more() {
            all.push(self.take(name)?);
        }
        Ok(all)
    }

    /// The next field, which may be a word that this version has never heard of.
    pub fn take_word(&mut self, name: &'static str) -> Result<(), ProtocolError> {
        let (field, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        let is_word = field.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_word { Ok(()) } else { Err(ProtocolError::Field { tag: self.tag, field: name }) }
    }

    /// Whether a field is left.
    pub fn more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Says that there must be no further field.
    pub fn end(self) -> Result<(), ProtocolError> {
        if self.more() { Err(ProtocolError::Field { tag: self.tag, field: "end of line" }) } else { Ok(()) }
    }
}

/// As many characters as the length in front of a frame has bytes, to be written over.
const PREFIX_ROOM: &str = "\0\0\0\0";

/// Builds a frame. What it writes, [`Line::parse`] takes apart again, whatever the values.
#[derive(Debug)]
pub struct FrameWriter {
    /// The room for the length, and the line.
    line: String,
}

impl FrameWriter {
    /// A frame of that tag.
    pub fn new(tag: &'static str) -> Self {
        let mut line = PREFIX_ROOM.to_owned();
        line.push_str(tag);
        Self { line }
    }

    /// Appends a field.
    #[must_use]
    pub fn field(mut self, value: &impl Field) -> Self {
        self.push(value);
        self
    }

    /// Appends a field for each value.
    #[must_use]
    pub fn fields<'a, T: Field + 'a>(mut self, values: impl IntoIterator<Item = &'a T>) -> Self {
        for value in values {
            self.push(value);
        }
        self
    }

    /// Appends a field in place, for lists.
    pub fn push(&mut self, value: &impl Field) {
        self.line.push(' ');
        value.write(&mut self.line);
    }

    /// The frame without payload.
    pub fn finish(self) -> Frame {
        Frame::from_prefixed(self.line.into_bytes())
    }

    /// The frame with payload; an empty one is still a payload.
    pub fn payload(self, payload: &[u8]) -> Frame {
        let mut bytes = self.line.into_bytes();
        bytes.reserve_exact(1 + payload.len());
        bytes.push(b'\n');
        bytes.extend_from_slice(payload);
        Frame::from_prefixed(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_and_its_payload() {
        let line = Line::parse(b"deliver bob 12\nhello\nworld").unwrap();
        assert_eq!(line.tag, "deliver");
        assert_eq!(line.payload, Some(&b"hello\nworld"[..]));
        let mut fields = line.fields("deliver");
        assert_eq!(fields.take::<crate::Username>("from").unwrap().as_str(), "bob");
        assert_eq!(fields.take::<u32>("number"), Ok(12));
        assert!(fields.end().is_ok());
    }

    #[test]
    fn empty_payload_differs_from_none() {
        assert_eq!(Line::parse(b"a\n").unwrap().payload, Some(&b""[..]));
        assert_eq!(Line::parse(b"a").unwrap().payload, None);
    }

    #[test]
    fn malformed_lines_are_refused() {
        let bad: [&[u8]; 11] = [
            b"",
            b"\n",
            b" a",
            b"a ",
            b"a  b",
            b"a\rb",
            b"a\0b",
            b"a \x1bb",
            b"a\tb",
            b"a\xff",
            b"a \xc2\x9b",
        ];
        for body in bad {
            assert_eq!(Line::parse(body), Err(ProtocolError::Line), "{body:?}");
        }
    }

    #[test]
    fn too_few_and_too_many_fields_are_told_apart() {
        let line = Line::parse(b"x 1").unwrap();
        let mut fields = line.fields("x");
        assert_eq!(fields.take::<u32>("a"), Ok(1));
        assert_eq!(fields.take::<u32>("b"), Err(ProtocolError::Field { tag: "x", field: "b" }));
        assert_eq!(line.fields("x").end(), Err(ProtocolError::Field { tag: "x", field: "end of line" }));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::parse(&body);
        }
    }
}
