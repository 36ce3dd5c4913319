//! The commands of a user who is logged in: from his lines to requests, and from answers to events.

use protocol::{ClientFrame, MessageId, ProtocolError, RequestId};

use super::{
    Core, Event, LEAVING_TIME_MAX, Line, Outcome, Stage,
    command::{self, Command, Mistake},
    requests::{Answer, Request, Unexpected},
};

impl Core {
    pub(super) fn run_commands(&mut self) {
        while self.logout.is_none() && self.requests.has_room() {
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
        let done = self.input_ended && self.lines.is_empty();
        if (done || self.logout.is_some()) && self.is_idle() {
            self.leave(self.logout);
        }
    }

    pub(super) fn run(&mut self, number: u64, command: Command) {
        let Some(link) = &mut self.link else { return };
        let requests = &mut self.requests;
        match command {
            Command::Message { to, text } => {
                let id = MessageId(u128::from_be_bytes(self.random.bytes()));
                let request = requests.open(Some(number), Request::Message { to: to.clone(), id });
                link.send(&ClientFrame::Message { request, to, id, text: &text });
            }
            Command::Broadcast { text } => {
                let id = MessageId(u128::from_be_bytes(self.random.bytes()));
                let request = requests.open(Some(number), Request::Broadcast);
                link.send(&ClientFrame::Broadcast { request, id, text: &text });
            }
            Command::WhoElse => {
                let request = requests.open(Some(number), Request::WhoElse { users: Vec::new() });
                link.send(&ClientFrame::WhoElse { request });
            }
            Command::WhoElseSince { seconds } => {
                let request = requests.open(Some(number), Request::WhoElseSince { users: Vec::new() });
                link.send(&ClientFrame::WhoElseSince { request, seconds });
            }
            Command::Block { user } => {
                let request = requests.open(Some(number), Request::Block { user: user.clone() });
                link.send(&ClientFrame::Block { request, user });
            }
            Command::Unblock { user } => {
                let request = requests.open(Some(number), Request::Unblock { user: user.clone() });
                link.send(&ClientFrame::Unblock { request, user });
            }
            Command::BlockList => {
                let request = requests.open(Some(number), Request::BlockList { users: Vec::new() });
                link.send(&ClientFrame::BlockList { request });
            }
            Command::StartPrivate { user } => self.peers.start_private(number, "startprivate", user),
            Command::Private { to, text } => self.peers.private(number, to, text),
            Command::StopPrivate { user } => self.peers.stop_private(number, user),
            Command::Again => self.peers.again(number),
            Command::Trust { user } => self.peers.trust(number, user),
            Command::File(_) => {}
            Command::Logout => self.logout = Some(number),
            Command::Help { text } => {
                self.show(Event::Ok { number, outcome: Outcome::Help { text } });
                self.tell_active();
            }
        }
    }

    /// Whether every command has its answer.
    fn is_idle(&self) -> bool {
        self.requests.is_idle() && !self.peers.is_busy()
    }

    /// A command that was answered here is a sign of life all the same.
    pub(super) fn tell_active(&mut self) {
        if let Some(link) = &mut self.link {
            link.send(&ClientFrame::Active);
        }
    }

    /// Asks the server to end the session.
    pub(super) fn leave(&mut self, number: Option<u64>) {
        let Stage::Online { user, .. } = &self.stage else { return };
        let until = self.now.mono.after(LEAVING_TIME_MAX);
        self.stage = Stage::Leaving { user: user.clone(), until };
        self.lines.clear();
        self.peers.leave(self.now.mono);
        if let Some(link) = &mut self.link {
            let request = self.requests.open(number, Request::Logout);
            link.send(&ClientFrame::Logout { request });
        }
    }

    pub(super) fn answered(&mut self, request: RequestId, answer: Answer) -> Result<(), ProtocolError> {
        if let Some((number, outcome)) = self.requests.answer(request, answer).map_err(unexpected)? {
            if let Outcome::Block { user } = &outcome {
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
