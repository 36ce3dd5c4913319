//! Frames: a 4-byte big-endian length, then that many bytes of body.
//!
//! Owns the receive buffer that knows where a message ends, and the prefix that says so. Must not know what a
//! body means.

use std::sync::Arc;

use thiserror::Error;

/// Bytes of the length in front of each body.
pub const PREFIX_LEN: usize = 4;

/// An idle connection gives back a receive buffer above this many bytes.
const IDLE_CAPACITY_MAX: usize = 4 * 1024;

/// A whole frame as it travels, its length in front. Cheap to clone: a broadcast is encoded once and shared by
/// every outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Arc<Vec<u8>>);

impl Frame {
    /// Puts the length in front of `body`.
    pub fn from_body(body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_LEN + body.len());
        bytes.extend_from_slice(&[0; PREFIX_LEN]);
        bytes.extend_from_slice(body);
        Self::from_prefixed(bytes)
    }

    /// Writes the length over the first [`PREFIX_LEN`] bytes, behind which the body stands.
    pub(crate) fn from_prefixed(mut bytes: Vec<u8>) -> Self {
        // A body is built from parts that are bounded far below 4 GiB (see `limits`).
        let len = u32::try_from(bytes.len().saturating_sub(PREFIX_LEN)).unwrap_or(u32::MAX);
        if let Some(prefix) = bytes.first_chunk_mut::<PREFIX_LEN>() {
            *prefix = len.to_be_bytes();
        }
        bytes.shrink_to_fit();
        Self(Arc::new(bytes))
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes behind the length.
    pub fn body(&self) -> &[u8] {
        self.0.get(PREFIX_LEN..).unwrap_or_default()
    }

    /// How many bytes travel.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: a frame has at least its length. Here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a stream of bytes is no stream of frames. There is no way back into step: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length of zero. No message is empty.
    #[error("a frame of length 0 came; every frame has a body")]
    Empty,
    /// The length is over what may come in this state of the connection.
    #[error("a frame of {len} bytes was announced; at most {limit} are allowed here")]
    TooLong {
        /// What the prefix said.
        len: u32,
        /// What was allowed.
        limit: usize,
    },
}

/// The receive buffer: bytes in, whole bodies out, however the stream was cut on its way.
///
/// It holds at most one incomplete frame and what was pushed behind it; a length over the limit is refused
/// when its four bytes are there, before anything is set aside for the body.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Where the first byte not yet handed out lies.
    start: usize,
    len_max: usize,
}

impl FrameDecoder {
    /// A decoder that refuses bodies over `len_max` bytes.
    pub fn new(len_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, len_max }
    }

    /// Changes the limit for every frame whose length was not yet looked at.
    pub fn set_len_max(&mut self, len_max: usize) {
        self.len_max = len_max;
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole body, borrowed from the buffer; `None` until more bytes come.
    pub fn next_body(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(body_len) = self.body_len(self.pending())? else {
            self.give_back_if_idle();
            return Ok(None);
        };
        let body_start = self.start + PREFIX_LEN;
        let Some(body) = self.buffer.get(body_start..body_start + body_len) else { return Ok(None) };
        self.start = body_start + body_len;
        Ok(Some(body))
    }

    /// The next whole body of what waits in the buffer and of `bytes` behind it, which are cut by what was taken.
    /// A body that lies in `bytes` as a whole is not copied.
    pub fn next_body_of<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if self.buffered_len() == 0
            && let Some(body_len) = self.body_len(bytes)?
            && let Some((frame, rest)) = bytes.split_at_checked(PREFIX_LEN + body_len)
        {
            *bytes = rest;
            self.give_back_if_idle();
            return Ok(frame.get(PREFIX_LEN..));
        }
        while let missing = self.missing_len()?
            && missing > 0
            && !bytes.is_empty()
        {
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            // At most `len_max`, or the rest would move when it comes.
            self.buffer.reserve_exact(missing);
            self.push(more);
            *bytes = rest;
        }
        self.next_body()
    }

    /// How many bytes wait in the buffer.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The length of the body whose frame begins there, once its prefix is there.
    fn body_len(&self, frame: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some((prefix, _)) = frame.split_first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix);
        if len == 0 {
            return Err(FrameError::Empty);
        }
        let body_len = usize::try_from(len).unwrap_or(usize::MAX);
        if body_len > self.len_max {
            return Err(FrameError::TooLong { len, limit: self.len_max });
        }
        Ok(Some(body_len))
    }

    /// What is not there yet of the next frame's prefix, or of its body.
    fn missing_len(&self) -> Result<usize, FrameError> {
        let body_len = self.body_len(self.pending())?.unwrap_or_default();
        Ok((PREFIX_LEN + body_len).saturating_sub(self.buffered_len()))
    }

    fn give_back_if_idle(&mut self) {
        if self.buffered_len() == 0 {
            self.buffer.clear();
            self.start = 0;
            if self.buffer.capacity() > IDLE_CAPACITY_MAX {
                self.buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bodies(decoder: &mut FrameDecoder) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut found = Vec::new();
        while let Some(body) = decoder.next_body()? {
            found.push(body.to_vec());
        }
        Ok(found)
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_body_comes() {
        let mut decoder = FrameDecoder::new(1024);
        decoder.push(&u32::MAX.to_be_bytes());
        assert_eq!(decoder.next_body(), Err(FrameError::TooLong { len: u32::MAX, limit: 1024 }));
        assert!(decoder.buffer.capacity() < 1024, "nothing was set aside for the claimed length");
    }

    #[test]
    fn a_body_at_the_limit_passes_and_one_byte_more_does_not() {
        let mut decoder = FrameDecoder::new(8);
        decoder.push(Frame::from_body(&[b'x'; 8]).as_bytes());
        assert_eq!(decoder.next_body(), Ok(Some(&[b'x'; 8][..])));
        decoder.push(Frame::from_body(&[b'x'; 9]).as_bytes());
        assert_eq!(decoder.next_body(), Err(FrameError::TooLong { len: 9, limit: 8 }));
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let mut decoder = FrameDecoder::new(8);
        decoder.push(&[0, 0, 0, 0]);
        assert_eq!(decoder.next_body(), Err(FrameError::Empty));
    }

    #[test]
    fn an_idle_decoder_gives_its_memory_back() {
        let mut decoder = FrameDecoder::new(64 * 1024);
        decoder.push(Frame::from_body(&vec![b'x'; 60_000]).as_bytes());
        assert_eq!(bodies(&mut decoder).unwrap().len(), 1);
        assert!(decoder.buffer.capacity() <= IDLE_CAPACITY_MAX);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..20),
            cuts in proptest::collection::vec(1usize..50, 0..400),
        ) {
            let stream: Vec<u8> =
                sent.iter().flat_map(|body| Frame::from_body(body).as_bytes().to_vec()).collect();
            let mut decoder = FrameDecoder::new(1024);
            let mut received = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                decoder.push(piece);
                received.extend(bodies(&mut decoder).unwrap());
                rest = behind;
            }
            decoder.push(rest);
            received.extend(bodies(&mut decoder).unwrap());
            prop_assert_eq!(received, sent);
            prop_assert_eq!(decoder.buffered_len(), 0);
        }

        #[test]
        fn frames_out_of_pieces_are_the_same_as_out_of_the_buffer(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..20),
            garbage in proptest::collection::vec(any::<u8>(), 0..20),
            cuts in proptest::collection::vec(1usize..60, 0..100),
        ) {
            let frames = sent.iter().flat_map(|body| Frame::from_body(body).as_bytes().to_vec());
            let stream: Vec<u8> = frames.chain(garbage).collect();
            let mut cuts = cuts.into_iter();
            let mut rest = stream.as_slice();
            let (mut one, mut other) = (FrameDecoder::new(16), FrameDecoder::new(16));
            while !rest.is_empty() {
                let (mut piece, behind) = rest.split_at(cuts.next().unwrap_or(7).min(rest.len()));
                rest = behind;
                one.push(piece);
                loop {
                    let body = other.next_body_of(&mut piece);
                    prop_assert_eq!(&body, &one.next_body());
                    match body {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(piece.is_empty());
                prop_assert_eq!(one.buffered_len(), other.buffered_len());
            }
        }

        #[test]
        fn garbage_never_panics_and_never_grows_the_buffer(pieces in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..64), 0..64)) {
            let mut decoder = FrameDecoder::new(256);
            for piece in pieces {
                decoder.push(&piece);
                if bodies(&mut decoder).is_err() {
                    break;
                }
                prop_assert!(decoder.buffered_len() < PREFIX_LEN + 256);
            }
        }
    }
}
