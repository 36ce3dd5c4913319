//! Between the core and its links to other clients: what they ask of the server, and what it says of them.
//!
//! Owns the way of an input, an answer or an output to the part that understands it. Must not decide anything.

use protocol::{
    ClientFrame, ErrorCode, FrameDecoder, PeerFrame, ProtocolError, RequestId, ServerFrame, TicketId,
    limits::CARRY_LEN_MAX,
};

use super::{
    Core, Effect, Event, LinkId, PeerInput, Stage,
    commands::unexpected,
    files::ServerAnswer,
    peers::{self, Ask, Tell},
    requests::Request,
};

/// Bytes that wait for the server above which nothing is given to a relay: chat goes first.
const SERVER_WAITING_MAX: usize = 32 * 1024;

impl Core {
    /// The links that have something to send.
    pub fn dirty_links(&mut self) -> Vec<LinkId> {
        self.peers.dirty()
    }

    /// What is to be sent over a link, in order.
    pub fn link_waiting(&mut self, link: LinkId) -> &[u8] {
        self.peers.waiting(link)
    }

    /// The first `len` bytes of it have left.
    pub fn link_sent(&mut self, link: LinkId, len: usize) {
        self.peers.sent(link, len);
        self.pump();
    }

    /// How many bytes may be given to a relay now, with [`PeerInput::RelaySend`].
    pub fn relay_room(&self, ticket: TicketId) -> usize {
        let waiting = self.waiting().len();
        if waiting > SERVER_WAITING_MAX {
            return 0;
        }
        usize::try_from(self.peers.relay_room(ticket)).unwrap_or(usize::MAX).min(SERVER_WAITING_MAX)
    }

    pub(super) fn peer_input(&mut self, input: PeerInput<'_>) {
        let now = self.now.mono;
        match input {
            PeerInput::Listening(addresses) => self.peers.listening(addresses),
            PeerInput::Accepted { link, relay } => self.peers.accepted(link, relay, now),
            PeerInput::Secured { link, key } => self.peers.secured(link, key),
            PeerInput::Dialled { ticket, link, relay } => self.peers.dialled(ticket, link, relay, now),
            PeerInput::Unreached { ticket } => self.peers.unreached(ticket, now),
            PeerInput::Received { link, bytes } => self.link_received(link, bytes),
            PeerInput::Closed { link } => self.peers.closed(link, now),
            PeerInput::RelaySend { ticket, bytes } => self.relay_send(ticket, bytes),
        }
    }

    /// Carries out what the parts ask of each other, of the server and of the shell.
    pub(super) fn pump(&mut self) {
        // After the exit there is nobody left to do it.
        while !matches!(self.stage, Stage::Over) {
            if let Some(output) = self.peers.poll_output() {
                self.peers_want(output);
            } else if let Some(output) = self.files.poll_output() {
                self.files_want(output);
            } else {
                return;
            }
        }
    }

    /// An event of a part of the core; an answer is a sign of life of the user's.
    pub(super) fn show_of_part(&mut self, event: Event) {
        if matches!(event, Event::Ok { .. } | Event::Error { .. }) {
            self.tell_active();
        }
        self.show(event);
    }

    fn peers_want(&mut self, output: peers::Output) {
        let now = self.now.mono;
        match output {
            peers::Output::Ask(ask) => self.ask_for_peers(ask),
            peers::Output::Tell(tell) => self.tell_for_peers(tell),
            peers::Output::Effect(effect) => self.effects.push_back(Effect::Peer(effect)),
            peers::Output::Show(event) => self.show_of_part(event),
            peers::Output::FilesLink { link, user } => self.files.link_opened(link, user, now),
            peers::Output::FilesFailed { user } => self.files.link_failed(&user, now),
            peers::Output::FilesGone { link } => self.files.link_closed(link, now),
            peers::Output::FilesDrained { link, waiting_len } => self.files.drained(link, waiting_len, now),
        }
    }

    /// What the server says about links.
    pub(super) fn peering_frame(&mut self, frame: ServerFrame<'_>) -> Result<(), ProtocolError> {
        let now = self.now.mono;
        match frame {
            ServerFrame::Ticket { request, ticket, key, addresses } => {
                let Request::Peers(Ask::Invite { user, purpose }) =
                    self.requests.take(request).map_err(unexpected)?
                else {
                    return Err(unexpected(super::requests::Unexpected));
                };
                self.peers.ticket((user, purpose), ticket, key, addresses, now);
            }
            ServerFrame::Expect { ticket, from, key, purpose, addresses } => {
                self.peers.expect(ticket, (from, key, purpose), addresses, now);
            }
            ServerFrame::DialBack { ticket } => self.peers.dial_back(ticket, now),
            ServerFrame::Relay { ticket, credit } => self.peers.relay_opened(ticket, credit, now),
            ServerFrame::Carry { ticket, bytes } => self.peers.relay_received(ticket, bytes),
            ServerFrame::Credit { ticket, credit } => self.peers.relay_credit(ticket, credit),
            ServerFrame::RelayEnd { ticket } => self.peers.relay_ended(ticket, now),
            _ => {}
        }
        Ok(())
    }

    /// Something that was asked for links was granted.
    pub(super) fn inner_done(&mut self, request: RequestId) -> Result<(), ProtocolError> {
        match self.requests.take(request).map_err(unexpected)? {
            Request::Peers(Ask::Lookup { user, number, command }) => {
                self.peers.looked_up(number, command, &user);
            }
            Request::Files { ask, is_list, files, .. } => self.files_done(ask, is_list, files),
            _ => return Err(unexpected(super::requests::Unexpected)),
        }
        Ok(())
    }

    /// Something that was asked for links was refused.
    pub(super) fn inner_refused(
        &mut self,
        request: RequestId,
        code: ErrorCode,
        text: &str,
    ) -> Result<(), ProtocolError> {
        match self.requests.take(request).map_err(unexpected)? {
            Request::Peers(ask) => self.peers.refused(ask, code, text, self.now.mono),
            Request::Files { ask, .. } => {
                let text = text.to_owned();
                self.files.answered(ask, ServerAnswer::Refused { code, text }, self.now.mono);
            }
            _ => return Err(unexpected(super::requests::Unexpected)),
        }
        Ok(())
    }

    fn ask_for_peers(&mut self, ask: Ask) {
        if self.away.is_some() {
            return self.peers.refused(ask, ErrorCode::NotConnected, super::NOT_SENT, self.now.mono);
        }
        self.ask(None, Request::Peers(ask.clone()), |request| match ask {
            Ask::Invite { user, purpose } => ClientFrame::Invite { request, user, purpose },
            Ask::Lookup { user, .. } => ClientFrame::Lookup { request, user },
        });
    }

    fn tell_for_peers(&mut self, tell: Tell) {
        let Some(link) = self.link.as_mut().filter(|link| link.state == protocol::State::Chat) else {
            return;
        };
        match tell {
            Tell::Reachable(addresses) => link.send(&ClientFrame::Reachable { addresses }),
            Tell::DialBack(ticket) => link.send(&ClientFrame::DialBack { ticket }),
            Tell::Relay(ticket) => link.send(&ClientFrame::Relay { ticket }),
            Tell::RelayEnd(ticket) => link.send(&ClientFrame::RelayEnd { ticket }),
        }
    }

    fn relay_send(&mut self, ticket: TicketId, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        for bytes in bytes.chunks(CARRY_LEN_MAX) {
            link.send(&ClientFrame::Carry { ticket, bytes });
        }
        self.peers.relay_sent(ticket, bytes.len() as u64);
    }

    fn link_received(&mut self, link: LinkId, bytes: &[u8]) {
        // Taken out while its frames are handled, because they borrow from it.
        let Some(mut decoder) = self.peers.take_decoder(link, self.now.mono) else { return };
        if self.handle_link_frames(link, &mut decoder, bytes).is_err() {
            self.peers.expel(link, self.now.mono);
        }
        self.peers.put_decoder(link, decoder);
    }

    fn handle_link_frames(
        &mut self,
        link: LinkId,
        decoder: &mut FrameDecoder,
        mut bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        while let Some((state, len_max)) = self.peers.frame_limits(link) {
            decoder.set_len_max(len_max);
            let Some(body) = decoder.next_body_of(&mut bytes)? else { break };
            self.handle_link_frame(link, PeerFrame::decode(body, state)?)?;
        }
        Ok(())
    }

    fn handle_link_frame(&mut self, link: LinkId, frame: PeerFrame<'_>) -> Result<(), ProtocolError> {
        let now = self.now.mono;
        if !is_about_files(&frame) {
            self.peers.frame(link, frame, now)?;
            // The next frame may be one about files, over a link that is open for them since this one.
            self.pump();
            return Ok(());
        }
        if !self.peers.serves_files(link) {
            return Err(ProtocolError::Tag { tag: "of files".to_owned() });
        }
        self.files.frame(link, frame, now).map_err(|_| ProtocolError::Line)
    }
}

fn is_about_files(frame: &PeerFrame<'_>) -> bool {
    match frame {
        PeerFrame::WantManifest { .. }
        | PeerFrame::Manifest { .. }
        | PeerFrame::WantHolds { .. }
        | PeerFrame::Holds { .. }
        | PeerFrame::NoFile { .. }
        | PeerFrame::Request { .. }
        | PeerFrame::Block { .. }
        | PeerFrame::NoBlock { .. }
        | PeerFrame::Cancel { .. } => true,
        PeerFrame::Meet { .. }
        | PeerFrame::Met { .. }
        | PeerFrame::Unmet { .. }
        | PeerFrame::Bye { .. }
        | PeerFrame::Ping
        | PeerFrame::Pong
        | PeerFrame::Private { .. }
        | PeerFrame::Heard { .. }
        | PeerFrame::HangUp => false,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        FileId, Fingerprint, Purpose, VERSION,
        time::{MonoMs, Now, UnixMs},
    };

    use super::*;
    use crate::core::{Input, Setup};

    #[test]
    fn a_frame_about_files_may_come_together_with_the_one_that_opens_the_link_for_them() {
        let (now, link, bob) = (Now { mono: MonoMs(0), wall: UnixMs(0) }, LinkId(1), Fingerprint([1; 32]));
        let (ticket, purpose, file) = (TicketId(7), Purpose::Files, FileId([3; 32]));
        let mut core = Core::new(Setup::for_key(Fingerprint([0; 32])), [0; 32], now);
        core.peers.expect(ticket, ("bob".parse().unwrap(), bob, purpose), Vec::new(), now.mono);
        let mut bytes = PeerFrame::Meet { version: VERSION, ticket, purpose }.encode().as_bytes().to_vec();
        bytes.extend_from_slice(PeerFrame::WantHolds { file }.encode().as_bytes());
        for input in [
            PeerInput::Accepted { link, relay: None },
            PeerInput::Secured { link, key: bob },
            PeerInput::Received { link, bytes: &bytes },
        ] {
            core.handle_input(now, Input::Peer(input));
        }
        let mut answer = PeerFrame::Met { ticket }.encode().as_bytes().to_vec();
        answer.extend_from_slice(PeerFrame::NoFile { file }.encode().as_bytes());
        assert_eq!(core.link_waiting(link), answer);
    }
}
