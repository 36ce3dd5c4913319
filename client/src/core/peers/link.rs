//! One link to another client as the core sees it: bytes in, frames out by lane, whether it lives.
//!
//! Owns the receive buffer, the two lanes and the clock of one link. Must not know what the frames are about.

use core::time::Duration;
use std::collections::VecDeque;

use protocol::{
    Fingerprint, Frame, FrameDecoder, PeerFrame, State, TicketId, Username,
    limits::PEER_FRAME_LEN_MAX_BEFORE_MEETING, time::MonoMs,
};

use super::early::Early;

/// From the first byte to the end of the meeting.
const MEETING_TIME_MAX: Duration = Duration::from_secs(10);
/// Silence after which the other side is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(20);
/// How long its answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a link stays open that nobody needs.
const IDLE: Duration = Duration::from_secs(60);
/// Frames that wait besides those about files: what is said and not heard (256), and many answers.
const TALK_WAITING_MAX: usize = 1_024;
/// Bytes of small frames that are sent together.
const BATCH_LEN: usize = 16 * 1024;

/// How a link came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One side could dial the other.
    Direct,
    /// The server carries its bytes, which it cannot read.
    Relayed,
}

#[derive(Debug)]
pub(super) struct PeerLink {
    pub(super) decoder: FrameDecoder,
    pub(super) state: State,
    /// What the other side's handshake has shown.
    pub(super) key: Option<Fingerprint>,
    /// Who it is, once a ticket was taken.
    pub(super) user: Option<Username>,
    /// The ticket that was shown over it and not answered yet, or that it was opened for.
    pub(super) ticket: Option<TicketId>,
    /// Another that was shown, and that waits for the server's word.
    pub(super) early: Option<Early>,
    pub(super) relay: Option<TicketId>,
    pub(super) talks: bool,
    pub(super) files: bool,
    /// Nothing more is sent behind what waits.
    pub(super) ending: bool,
    opened_at: MonoMs,
    heard_at: MonoMs,
    used_at: MonoMs,
    pinged_at: Option<MonoMs>,
    talk_lane: VecDeque<Frame>,
    file_lane: VecDeque<Frame>,
    /// Bytes in `file_lane`.
    file_len: usize,
    /// What is being sent, from `start` on: small frames together, or one large one.
    batch: Batch,
    start: usize,
}

/// What goes out in one piece.
#[derive(Debug)]
enum Batch {
    Small(Vec<u8>),
    Large(Frame),
}

/// What the passing of time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    Fine,
    /// No meeting in time, or no sign of life.
    Dead,
    /// Nobody has needed it for a while.
    Idle,
}

impl PeerLink {
    pub(super) fn new(now: MonoMs) -> Self {
        Self {
            decoder: FrameDecoder::new(PEER_FRAME_LEN_MAX_BEFORE_MEETING),
            state: State::Meeting,
            key: None,
            user: None,
            ticket: None,
            early: None,
            relay: None,
            talks: false,
            files: false,
            ending: false,
            opened_at: now,
            heard_at: now,
            used_at: now,
            pinged_at: None,
            talk_lane: VecDeque::new(),
            file_lane: VecDeque::new(),
            file_len: 0,
            batch: Batch::Small(Vec::new()),
            start: 0,
        }
    }

    pub(super) fn way(&self) -> Way {
        if self.relay.is_some() { Way::Relayed } else { Way::Direct }
    }

    /// A ticket was taken: the other side is that user.
    pub(super) fn met(&mut self, user: Username, now: MonoMs) {
        self.state = State::Met;
        self.user = Some(user);
        self.used_at = now;
    }

    /// Notes that bytes came.
    pub(super) fn heard(&mut self, now: MonoMs) {
        self.heard_at = now;
        self.pinged_at = None;
    }

    pub(super) fn send(&mut self, frame: &PeerFrame<'_>) {
        if !self.ending {
            self.talk_lane.push_back(frame.encode());
        }
    }

    /// Whether the other side asks without reading the answers.
    pub(super) fn is_flooded(&self) -> bool {
        self.talk_lane.len() > TALK_WAITING_MAX
    }

    /// Behind everything that is not about files.
    pub(super) fn send_file(&mut self, frame: Frame) {
        if !self.ending {
            self.file_len += frame.len();
            self.file_lane.push_back(frame);
        }
    }

    /// Bytes that wait, as far as file frames care.
    pub(super) fn file_len(&self) -> usize {
        self.file_len + self.batch.bytes().len() - self.start
    }

    /// What is to be sent next, empty when nothing is.
    pub(super) fn waiting(&mut self) -> &[u8] {
        if self.start == self.batch.bytes().len() {
            self.fill();
        }
        self.batch.bytes().get(self.start..).unwrap_or_default()
    }

    /// The first `len` bytes of [`PeerLink::waiting`] have left.
    pub(super) fn sent(&mut self, len: usize) {
        self.start = (self.start + len).min(self.batch.bytes().len());
    }

    /// Private messages first; a block is sent as it is, because copying it would cost as much as encrypting it.
    fn fill(&mut self) {
        self.start = 0;
        let mut small = match std::mem::replace(&mut self.batch, Batch::Small(Vec::new())) {
            Batch::Small(mut bytes) => {
                bytes.clear();
                bytes
            }
            Batch::Large(_) => Vec::new(),
        };
        while small.len() < BATCH_LEN {
            let is_large = self.talk_lane.is_empty()
                && self.file_lane.front().is_some_and(|frame| frame.len() >= BATCH_LEN);
            if is_large && !small.is_empty() {
                break;
            }
            let Some(frame) = self.talk_lane.pop_front().or_else(|| self.next_file_frame()) else { break };
            if is_large {
                self.batch = Batch::Large(frame);
                return;
            }
            small.extend_from_slice(frame.as_bytes());
        }
        self.batch = Batch::Small(small);
    }

    /// When [`PeerLink::pulse`] must be taken.
    pub(super) fn deadline(&self, in_use: bool) -> MonoMs {
        if self.state != State::Met || self.ending {
            return self.opened_at.after(MEETING_TIME_MAX);
        }
        let alive = match self.pinged_at {
            Some(pinged) => pinged.after(ANSWER),
            None => self.heard_at.after(SILENCE),
        };
        if in_use { alive } else { alive.min(self.used_at.after(IDLE)) }
    }

    /// Asks a silent side whether it lives; tells when it does not, or when nobody cares.
    pub(super) fn pulse(&mut self, in_use: bool, now: MonoMs) -> Pulse {
        if in_use {
            self.used_at = now;
        }
        if now < self.deadline(in_use) {
            return Pulse::Fine;
        }
        if self.state != State::Met || self.ending {
            return Pulse::Dead;
        }
        if !in_use && self.used_at.after(IDLE) <= now {
            return Pulse::Idle;
        }
        match self.pinged_at {
            Some(pinged) if pinged.after(ANSWER) <= now => Pulse::Dead,
            Some(_) => Pulse::Fine,
            None => {
                self.pinged_at = Some(now);
                self.send(&PeerFrame::Ping);
                Pulse::Fine
            }
        }
    }

    /// Says the last thing; from then on the link only empties itself.
    pub(super) fn end(&mut self, last: &PeerFrame<'_>, now: MonoMs) {
        self.file_lane.clear();
        self.file_len = 0;
        self.send(last);
        self.ending = true;
        self.opened_at = now;
    }

    fn next_file_frame(&mut self) -> Option<Frame> {
        let frame = self.file_lane.pop_front()?;
        self.file_len -= frame.len();
        Some(frame)
    }
}

impl Batch {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(frame) => frame.as_bytes(),
        }
    }
}
