//! What waits to be sent over one connection.
//!
//! Owns the order and the count of bytes. Must not know limits; `sessions` enforces them.
//!
//! One frame may stand behind all others, also behind those that come later, until its first byte is about to leave.

use std::collections::VecDeque;

use protocol::Frame;

/// Frames in the order in which they leave; shared frames are not copied until they do.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Frame>,
    /// How much of the first frame has left.
    front_sent_len: usize,
    /// The frame that lets all others go first.
    behind: Option<Frame>,
    /// Whether that frame has become the first of `frames`.
    front_was_behind: bool,
    len: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.len += frame.len();
        self.frames.push_back(frame);
    }

    /// Puts a frame behind all others. There must be none behind them yet.
    pub(super) fn push_behind(&mut self, frame: Frame) {
        self.len += frame.len();
        self.behind = Some(frame);
    }

    /// Whether a frame that was put behind all others has not left yet.
    pub(super) fn has_behind(&self) -> bool {
        self.behind.is_some() || self.front_was_behind
    }

    /// Takes that frame back, unless it is leaving.
    pub(super) fn drop_behind(&mut self) {
        if let Some(frame) = self.behind.take() {
            self.len -= frame.len();
        }
    }

    /// Appends up to `len_max` of the waiting bytes to `out` without taking them. What was shown here is what leaves
    /// next, whatever is put in meanwhile.
    pub(super) fn gather(&mut self, out: &mut Vec<u8>, len_max: usize) {
        if self.frames.is_empty()
            && let Some(frame) = self.behind.take()
        {
            self.frames.push_back(frame);
            self.front_was_behind = true;
        }
        let mut room = len_max;
        let mut skip = self.front_sent_len;
        for frame in &self.frames {
            let waiting = frame.as_bytes().get(skip..).unwrap_or_default();
            let (taken, _) = waiting.split_at(room.min(waiting.len()));
            out.extend_from_slice(taken);
            room -= taken.len();
            skip = 0;
            if room == 0 {
                return;
            }
        }
    }

    /// The first `len` bytes have left.
    pub(super) fn sent(&mut self, len: usize) {
        let mut left = len.min(self.len);
        self.len -= left;
        while let Some(front) = self.frames.front() {
            let rest = front.len() - self.front_sent_len;
            if left < rest {
                self.front_sent_len += left;
                return;
            }
            left -= rest;
            self.front_sent_len = 0;
            self.front_was_behind = false;
            self.frames.pop_front();
        }
        // An idle connection keeps no memory of a busy hour.
        self.frames = VecDeque::new();
    }

    /// Forgets everything, except what is needed to end the stream between two frames.
    pub(super) fn clear(&mut self) {
        let (front_sent_len, front_was_behind) = (self.front_sent_len, self.front_was_behind);
        let started = self.frames.pop_front().filter(|_| front_sent_len > 0);
        *self = Self::default();
        if let Some(frame) = started {
            self.len = frame.len() - front_sent_len;
            (self.front_sent_len, self.front_was_behind) = (front_sent_len, front_was_behind);
            self.frames.push_back(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(outbox: &mut Outbox, len_max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        outbox.gather(&mut out, len_max);
        out
    }

    #[test]
    fn bytes_leave_once_and_in_order_however_they_are_taken() {
        let frames: Vec<Frame> = (1u8..20).map(|n| Frame::from_body(&vec![n; usize::from(n)])).collect();
        let expected: Vec<u8> = frames.iter().flat_map(|f| f.as_bytes().to_vec()).collect();
        for step in 1..30 {
            let mut outbox = Outbox::default();
            for frame in &frames {
                outbox.push(frame.clone());
            }
            let mut left = Vec::new();
            while !outbox.is_empty() {
                let piece = gathered(&mut outbox, step);
                outbox.sent(piece.len());
                left.extend(piece);
            }
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn clearing_keeps_the_frame_that_has_begun_to_leave() {
        let mut outbox = Outbox::default();
        outbox.push(Frame::from_body(b"first"));
        outbox.push(Frame::from_body(b"second"));
        outbox.sent(6);
        outbox.clear();
        assert_eq!(gathered(&mut outbox, 100), b"rst");
        assert_eq!(outbox.len(), 3);
        outbox.sent(3);
        outbox.push(Frame::from_body(b"x"));
        outbox.clear();
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_stands_behind_lets_all_others_go_until_it_has_begun_to_leave() {
        let mut outbox = Outbox::default();
        outbox.push_behind(Frame::from_body(b"behind"));
        outbox.push(Frame::from_body(b"one"));
        assert_eq!(gathered(&mut outbox, 100), b"\0\0\0\x03one");
        outbox.push(Frame::from_body(b"two"));
        outbox.sent(7);
        assert_eq!(gathered(&mut outbox, 100), b"\0\0\0\x03two");
        outbox.sent(7);
        assert!(outbox.has_behind());
        assert_eq!(gathered(&mut outbox, 100), b"\0\0\0\x06behind");
        outbox.push(Frame::from_body(b"three"));
        outbox.sent(5);
        outbox.drop_behind();
        assert_eq!(gathered(&mut outbox, 100), b"ehind\0\0\0\x05three", "no frame is torn");
        outbox.sent(5);
        assert!(!outbox.has_behind());
        outbox.push_behind(Frame::from_body(b"taken back"));
        outbox.drop_behind();
        assert_eq!((gathered(&mut outbox, 100).len(), outbox.len()), (9, 9));
    }
}
