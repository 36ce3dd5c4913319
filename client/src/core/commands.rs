//! The commands of a user who is logged in: from his lines to requests, and from answers to events.

use protocol::{ClientFrame, ErrorCode, MessageId, ProtocolError, RequestId};

use super::{
    Core, Event, LEAVING_TIME_MAX, Line, NOT_SENT, Outcome, Stage,
    command::{self, Command, Mistake},
    requests::{Answer, Request, Unexpected},
};

impl Core {
    pub(super) fn run_commands(&mut self) {
        while self.logout.is_none() && self.requests.has_room() && self.peers.has_room() {
            let Some(line) = self.lines.pop_front() else { break };
            self.count += 1;
            let parsed = match &line {
                Line::Text(text) => command::parse(text),
                Line::NotText => Err(command::not_text()),
                Line::TooLong(start) => Err(command::line_too_long(start)),
            };
            match parsed {
                Ok(command) => self.run(self.count, command),
                Err(Mistake { command, code, text }) => {
                    self.show(Event::Error { number: self.count, command, code, text });
                    self.tell_active();
                }
            }
        }
        self.run_held_back();
        let done = self.input_ended && self.lines.is_empty();
        if (done || self.logout.is_some()) && self.is_idle() {
            self.leave(self.logout);
        }
    }

    pub(super) fn run(&mut self, number: u64, command: Command) {
        let asker = Some(number);
        match command {
            Command::Message { to, text } => {
                let id = MessageId(u128::from_be_bytes(self.random.bytes()));
                self.ask(asker, Request::Message { to: to.clone(), id }, |request| ClientFrame::Message {
                    request,
                    to,
                    id,
                    text: &text,
                });
            }
            Command::Broadcast { text } => {
                let id = MessageId(u128::from_be_bytes(self.random.bytes()));
                self.ask(asker, Request::Broadcast, |request| ClientFrame::Broadcast {
                    request,
                    id,
                    text: &text,
                });
            }
            Command::WhoElse => {
                let users = Vec::new();
                self.ask(asker, Request::WhoElse { users }, |request| ClientFrame::WhoElse { request });
            }
            Command::WhoElseSince { seconds } => {
                let users = Vec::new();
                self.ask(asker, Request::WhoElseSince { users }, |request| ClientFrame::WhoElseSince {
                    request,
                    seconds,
                });
            }
            Command::Block { user } => {
                self.ask(asker, Request::Block { user: user.clone() }, |request| ClientFrame::Block {
                    request,
                    user,
                });
            }
            Command::Unblock { user } => {
                self.ask(asker, Request::Unblock { user: user.clone() }, |request| ClientFrame::Unblock {
                    request,
                    user,
                });
            }
            Command::BlockList => {
                let users = Vec::new();
                self.ask(asker, Request::BlockList { users }, |request| ClientFrame::BlockList { request });
            }
            Command::StartPrivate { user } => self.peers.start_private(number, "startprivate", user),
            Command::Private { to, text } => self.peers.private(number, to, text, self.now.mono),
            Command::StopPrivate { user } => self.peers.stop_private(number, user, self.now.mono),
            Command::Again => self.peers.again(number),
            Command::Trust { user } => self.peers.trust(number, user),
            Command::File(command) => self.run_file(number, command),
            Command::Logout => self.logout = Some(number),
            Command::Help { text } => {
                self.show(Event::Ok { number, outcome: Outcome::Help { text } });
                self.tell_active();
            }
        }
    }

    /// Whether every command has its answer.
    fn is_idle(&self) -> bool {
        self.requests.is_idle() && self.held_back.is_empty() && !self.peers.is_busy() && !self.files.is_busy()
    }

    /// A command that was answered here is a sign of life all the same.
    pub(super) fn tell_active(&mut self) {
        if let Some(link) = &mut self.link {
            link.send(&ClientFrame::Active);
        }
    }

    /// Sends a request, or has it wait for the connection to come back.
    pub(super) fn ask<'a>(
        &mut self,
        number: Option<u64>,
        request: Request,
        frame: impl FnOnce(RequestId) -> ClientFrame<'a>,
    ) {
        let id = self.requests.next_id();
        let frame = frame(id).encode();
        let is_there = matches!(self.stage, Stage::Online { is_ready: true, .. } | Stage::Leaving { .. });
        let is_there = is_there && self.link.is_some();
        if let (false, Some(number), true) = (is_there, number, self.is_away_for_long()) {
            let (command, code) = (request.command().to_owned(), ErrorCode::NotConnected);
            return self.show(Event::Error { number, command, code, text: NOT_SENT.to_owned() });
        }
        let link = self.link.as_mut().filter(|_| is_there);
        self.requests.open(id, (number, request), frame.clone(), link.is_some());
        match link {
            Some(link) => link.send_frame(&frame),
            None if number.is_some() => self.tell_waiting(),
            None => {}
        }
    }

    /// Asks the server to end the session.
    pub(super) fn leave(&mut self, number: Option<u64>) {
        if self.away.is_some() {
            return self.leave_away(number);
        }
        let Stage::Online { user, .. } = &self.stage else { return };
        let until = self.now.mono.after(LEAVING_TIME_MAX);
        self.stage = Stage::Leaving { user: user.clone(), until };
        self.lines.clear();
        self.peers.leave(self.now.mono);
        self.ask(number, Request::Logout, |request| ClientFrame::Logout { request });
    }

    pub(super) fn answered(&mut self, request: RequestId, answer: Answer) -> Result<(), ProtocolError> {
        if let Some((number, outcome)) = self.requests.answer(request, answer).map_err(unexpected)? {
            if let Outcome::Block { user } = &outcome {
                self.files.blocked(user);
                self.peers.blocked(user, self.now.mono);
            }
            self.show(Event::Ok { number, outcome });
        }
        Ok(())
    }
}

/// The server answered something that was not asked.
pub(super) fn unexpected(_: Unexpected) -> ProtocolError {
    ProtocolError::Tag { tag: "reply".to_owned() }
}
