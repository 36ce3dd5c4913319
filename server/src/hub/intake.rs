//! How much of what clients have sent is handled now, and what has to wait: for the client's allowance, for room in
//! his outbox, or for a later turn, because others have their share of this one.
//!
//! Owns the way from bytes to frames. Must not know what a frame does; that is [`Hub::dispatch`].

use protocol::{
    ClientFrame, FrameDecoder, GoodbyeReason, LoginRefusal, ProtocolError, State, Username,
    limits::{FRAME_LEN_MAX, FRAME_LEN_MAX_BEFORE_LOGIN},
};

use super::{
    ConnId, Duration, Ending, Hub,
    sessions::{Alarm, Stage},
};

impl Hub {
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if matches!(session.stage, Stage::Closing { user: None, .. }) {
            return;
        }
        session.heard_at = self.now.mono;
        session.pinged_at = None;
        session.decoder.push(bytes);
        if let Some(challenger) = session.challenger.take() {
            self.refuse_login(challenger, LoginRefusal::AlreadyOnline, Duration::ZERO);
        }
        self.process(conn);
    }

    /// Goes on with those who had to wait, each a slice.
    pub(super) fn go_on(&mut self) {
        self.work = 0;
        for _ in 0..self.sessions.unfinished_count() {
            if self.work >= self.limits.work_per_turn_max {
                break;
            }
            if let Some(conn) = self.sessions.take_unfinished() {
                self.process(conn);
            }
        }
        self.work = 0;
    }

    /// Handles what is in the receive buffer, as far as the client's allowance and his slice of this turn go.
    pub(super) fn process(&mut self, conn: ConnId) {
        // Last words are not put off: they cost little, and who is leaving is read from.
        let closing = self.sessions.get(conn).is_some_and(|s| matches!(s.stage, Stage::Closing { .. }));
        if closing || !self.sessions.is_unfinished(conn) {
            let slice_end = self.limits.work_per_turn_max.min(self.work + self.limits.work_per_slice_max);
            self.process_until(conn, slice_end);
        }
    }

    /// Handles what had to wait: there is no later turn for a connection that is gone. That is no more than what
    /// the shell reads in one go.
    pub(super) fn finish(&mut self, conn: ConnId) {
        if self.sessions.is_unfinished(conn) {
            self.process_until(conn, u64::MAX);
        }
    }

    fn process_until(&mut self, conn: ConnId, slice_end: u64) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let mut decoder = std::mem::replace(&mut session.decoder, FrameDecoder::new(0));
        let outcome = self.process_frames(conn, &mut decoder, slice_end);
        if let Some(session) = self.sessions.get_mut(conn) {
            session.decoder = decoder;
        }
        let Err(error) = outcome else { return };
        match self.sessions.get(conn).map(|session| &session.stage) {
            Some(Stage::Closing { .. }) => self.close(conn),
            _ => self.end(conn, Ending::Goodbye(GoodbyeReason::Protocol, error.to_string())),
        }
    }

    /// No frame is begun when so much work was done in this turn.
    fn process_frames(
        &mut self,
        conn: ConnId,
        decoder: &mut FrameDecoder,
        slice_end: u64,
    ) -> Result<(), ProtocolError> {
        loop {
            let congested = self.sessions.is_congested(conn, &self.limits);
            let Some(session) = self.sessions.get_mut(conn) else { return Ok(()) };
            if let Stage::Closing { user, .. } = &session.stage {
                let Some(user) = user.clone() else { return Ok(()) };
                return self.process_last_words(&user, decoder);
            }
            if !session.allowance.has_some(self.now.mono) {
                let again = self.now.mono.after(session.allowance.pause());
                self.sessions.set_reading(conn, false);
                self.sessions.arm(conn, Alarm::Throttle, again);
                return Ok(());
            }
            if congested {
                self.sessions.set_reading(conn, false);
                return Ok(());
            }
            let state = session.state();
            if self.work >= slice_end && decoder.buffered_len() > 0 {
                self.sessions.put_off(conn);
                return Ok(());
            }
            decoder.set_len_max(match state {
                State::Chat => FRAME_LEN_MAX,
                _ => FRAME_LEN_MAX_BEFORE_LOGIN,
            });
            let Some(body) = decoder.next_body()? else {
                self.sessions.set_reading(conn, true);
                return Ok(());
            };
            let frame = ClientFrame::decode(body, state)?;
            self.work += self.work_of(&frame);
            self.dispatch(conn, frame);
        }
    }

    /// Of a session that has ended, only the acknowledgements of what was still on its way are heard.
    fn process_last_words(
        &mut self,
        user: &Username,
        decoder: &mut FrameDecoder,
    ) -> Result<(), ProtocolError> {
        while let Some(body) = decoder.next_body()? {
            if let ClientFrame::Ack { from, id } = ClientFrame::decode(body, State::Chat)? {
                let (mut desk, post) = self.desk_and_post();
                post.acked_late(&mut desk, user, &from, id);
            }
        }
        Ok(())
    }

    /// What a frame costs the server, in units of a direct message.
    fn work_of(&self, frame: &ClientFrame<'_>) -> u64 {
        let online = self.presence.count() as u64;
        match frame {
            ClientFrame::Broadcast { .. } => 1 + online / 16,
            ClientFrame::WhoElse { .. } | ClientFrame::WhoElseSince { .. } => 1 + online / 64,
            frame => self.files.work_of(frame),
        }
    }
}
