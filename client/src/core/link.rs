//! The connection to the server as the core sees it: bytes in, bytes out, how far the greeting has come.
//!
//! Owns the receive buffer, the outbox, and whether the other side still lives. Must not know commands.

use core::time::Duration;

use protocol::{
    ClientFrame, Frame, FrameDecoder, State, VERSION, limits::FRAME_LEN_MAX, time::MonoMs, transport::Secured,
};

/// From dialling to being logged in: the server allows 10 s for its part.
const SETUP_TIME_MAX: Duration = Duration::from_secs(15);
/// Silence after which the server is asked whether it lives. It asks us after 45 s, so this only speaks up
/// when the server itself has gone quiet.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Link {
    pub(super) decoder: FrameDecoder,
    pub(super) state: State,
    /// Dialled, but not there yet.
    dialling: bool,
    outbox: Vec<u8>,
    started_at: MonoMs,
    heard_at: MonoMs,
    pinged_at: Option<MonoMs>,
    /// What the handshake has shown.
    pub(super) secured: Option<Secured>,
    /// While a person thinks about his password, nothing is late.
    pub(super) waits_for_user: bool,
}

/// What the passing of time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    Fine,
    /// No connection, or no log-in, in time.
    NoAnswer,
    /// It was there, and is not any more.
    Dead,
}

impl Link {
    pub(super) fn dial(now: MonoMs) -> Self {
        Self {
            decoder: FrameDecoder::new(FRAME_LEN_MAX),
            state: State::Greeting,
            dialling: true,
            outbox: Vec::new(),
            started_at: now,
            heard_at: now,
            pinged_at: None,
            secured: None,
            waits_for_user: false,
        }
    }

    /// The connection stands and may be used.
    pub(super) fn connected(&mut self, secured: Option<Secured>, now: MonoMs) {
        self.dialling = false;
        self.secured = secured;
        self.heard_at = now;
        self.send(&ClientFrame::Hello { version: VERSION });
    }

    /// Whether both sides have said hello.
    pub(super) fn is_greeted(&self) -> bool {
        self.state != State::Greeting
    }

    pub(super) fn received(&mut self, bytes: &[u8], now: MonoMs) {
        self.heard_at = now;
        self.pinged_at = None;
        self.decoder.push(bytes);
    }

    pub(super) fn send(&mut self, frame: &ClientFrame<'_>) {
        self.send_frame(&frame.encode());
    }

    pub(super) fn send_frame(&mut self, frame: &Frame) {
        self.outbox.extend_from_slice(frame.as_bytes());
    }

    /// What waits to be sent.
    pub(super) fn waiting(&self) -> &[u8] {
        if self.dialling { &[] } else { &self.outbox }
    }

    pub(super) fn sent(&mut self, len: usize) {
        self.outbox.drain(..len.min(self.outbox.len()));
    }

    /// When [`Link::pulse`] must be taken.
    pub(super) fn deadline(&self) -> Option<MonoMs> {
        if self.waits_for_user {
            None
        } else if self.state != State::Chat {
            Some(self.started_at.after(SETUP_TIME_MAX))
        } else {
            match self.pinged_at {
                Some(pinged) => Some(pinged.after(ANSWER)),
                None => Some(self.heard_at.after(SILENCE)),
            }
        }
    }

    /// The log-in starts now, however long the user thought about it.
    pub(super) fn restart_clock(&mut self, now: MonoMs) {
        self.started_at = now;
        self.waits_for_user = false;
    }

    /// Asks a silent server whether it lives; tells when it does not.
    pub(super) fn pulse(&mut self, now: MonoMs) -> Pulse {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Pulse::Fine;
        }
        if self.state != State::Chat {
            return Pulse::NoAnswer;
        }
        if self.pinged_at.is_some() {
            return Pulse::Dead;
        }
        self.pinged_at = Some(now);
        self.send(&ClientFrame::Ping);
        Pulse::Fine
    }
}
