//! The pure core of the client: from typed lines and received bytes to events, bytes to send, and an exit code.
//! No socket, no terminal, no clock, no randomness of its own.
//!
//! # The drain contract
//!
//! After any input, [`Core::poll_output`] is called until it gives nothing more. Effects are carried out in
//! their order, and *asking for the next one says that the one before was carried out*: a message is
//! acknowledged to the server only after the effect that shows it. Then [`Core::waiting`] holds what is to be
//! sent, taken off by [`Core::sent`]. [`Core::poll_timeout`] says when [`Core::handle_timeout`] is due, and
//! [`Core::wants_input`] whether another line may be read from the user.

mod command;
mod event;
mod link;
mod requests;
mod seen;

use core::time::Duration;
use std::{collections::VecDeque, fmt};

use protocol::{
    ClientFrame, ErrorCode, GoodbyeReason, LoginRefusal, MessageId, ProtocolError, ServerFrame, State,
    Username, VERSION,
    random::RandomStream,
    scram::{self, Mechanism, Nonce, SaltedPassword},
    time::{MonoMs, Now},
};

pub use command::words as command_words;
pub use event::{DisconnectReason, Event, MessageState, Outcome};
pub use seen::Seen;

use command::{Command, Mistake};
use link::{Link, Pulse};
use requests::{Answer, Request, Requests, Unexpected};

/// Lines held here before the shell stops reading more: enough to keep the server busy, and no more than a
/// few MiB in the worst case.
const LINES_MAX: usize = 128;
/// How long the server's goodbye may take after a logout.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(5);

/// What is known before the user is asked.
#[derive(Clone, Default)]
pub struct Setup {
    /// `--user`.
    pub user: Option<String>,
    /// `--password-file` or the environment.
    pub password: Option<String>,
}

/// The password stays out of logs.
impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A line from the user, or what came instead of one.
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// Without its line feed.
    Text(String),
    /// It was no UTF-8.
    NotText,
    /// It was too long to keep; this is how it begins.
    TooLong(String),
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// Answers [`Effect::Dial`]: the connection stands.
    Connected,
    /// Answers [`Effect::Dial`]: it does not, for this reason.
    DialFailed(&'a str),
    /// Bytes came from the server.
    Received(&'a [u8]),
    /// The server closed, or the connection broke.
    Closed,
    /// The user typed a line.
    Line(Line),
    /// The user will type no more.
    EndOfInput,
    /// The interrupt key, or a signal that ends programs.
    Interrupt,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to the server.
    Dial,
    /// Close the connection, after sending what waits.
    HangUp,
    /// Show this to the user.
    Show(Event),
    /// Leave with this code, after saying this on standard error.
    Exit {
        /// As the manual promises.
        code: u8,
        /// A sentence for people.
        complaint: Option<String>,
    },
}

/// What the next line will be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A username.
    Username,
    /// A password, which must not be seen.
    Password,
    /// Nothing yet: the log-in is under way.
    Wait,
    /// A command.
    Command,
}

/// The exit codes.
mod exit {
    pub(super) const LOGGED_OUT: u8 = 0;
    pub(super) const CONNECTION: u8 = 1;
    pub(super) const LOGIN_REFUSED: u8 = 3;
    pub(super) const TIMEOUT: u8 = 4;
    pub(super) const IDENTITY: u8 = 5;
}

/// The client's state.
#[derive(Debug)]
pub struct Core {
    now: Now,
    random: RandomStream,
    /// Used up by the first try.
    setup: Setup,
    /// Whether the first try was given whole, so that no other will be.
    one_try: bool,
    stage: Stage,
    link: Option<Link>,
    lines: VecDeque<Line>,
    input_ended: bool,
    /// Commands read so far.
    count: u64,
    requests: Requests,
    /// The number of a `logout` that waits for the commands before it.
    logout: Option<u64>,
    seen: Seen,
    /// The message that the last effect shows.
    showing: Option<(Username, MessageId)>,
    effects: VecDeque<Effect>,
}

enum Stage {
    Username,
    Password {
        user: String,
    },
    LoggingIn {
        user: String,
        password: String,
        step: Step,
    },
    Online {
        user: Username,
    },
    /// A logout is on its way.
    Leaving {
        user: Username,
        until: MonoMs,
    },
    Over,
}

enum Step {
    /// For a connection.
    Waiting,
    Challenge(scram::client::ClientFirst),
    Answered(scram::client::Answer),
}

/// The password stays out of logs.
impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "Username",
            Self::Password { .. } => "Password",
            Self::LoggingIn { .. } => "LoggingIn",
            Self::Online { .. } => "Online",
            Self::Leaving { .. } => "Leaving",
            Self::Over => "Over",
        })
    }
}

/// Passwords are lines too.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(…)")
    }
}

impl Core {
    /// A client that starts to connect at once. `random_seed` must come from the system's randomness: message ids
    /// and nonces are made of it. `seen`: the messages that were shown before.
    pub fn new(setup: Setup, seen: Seen, random_seed: [u8; 32], now: Now) -> Self {
        let mut core = Self {
            now,
            random: RandomStream::from_seed(random_seed),
            one_try: setup.user.is_some() && setup.password.is_some(),
            setup,
            stage: Stage::Username,
            link: None,
            lines: VecDeque::new(),
            input_ended: false,
            count: 0,
            requests: Requests::default(),
            logout: None,
            seen,
            showing: None,
            effects: VecDeque::new(),
        };
        core.dial();
        core.advance();
        core
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match input {
            Input::Connected => {
                if let Some(link) = &mut self.link {
                    link.connected(now.mono);
                }
            }
            Input::DialFailed(reason) => {
                self.link = None;
                self.quit(exit::CONNECTION, Some(reason.to_owned()));
            }
            Input::Received(bytes) => self.received(bytes),
            Input::Closed => self.closed(),
            Input::Line(line) => self.lines.push_back(line),
            Input::EndOfInput => self.input_ended = true,
            Input::Interrupt => self.interrupt(),
        }
        self.advance();
    }

    /// Notices what is late.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if let Stage::Leaving { until, .. } = self.stage
            && until <= now.mono
        {
            return self.finish(DisconnectReason::Logout, exit::LOGGED_OUT);
        }
        let Some(link) = &mut self.link else { return };
        match link.pulse(now.mono) {
            Pulse::Fine => {}
            Pulse::NoAnswer => {
                let complaint = "The server did not answer in time. Is this the right address and port?";
                self.quit(exit::CONNECTION, Some(complaint.to_owned()));
            }
            Pulse::Dead => self.closed(),
        }
    }

    /// When [`Core::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<MonoMs> {
        let leaving = match self.stage {
            Stage::Leaving { until, .. } => Some(until),
            Stage::Over => return None,
            _ => None,
        };
        self.link.as_ref().and_then(Link::deadline).into_iter().chain(leaving).min()
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Effect> {
        if let (Some((from, id)), Some(link)) = (self.showing.take(), &mut self.link) {
            link.send(&ClientFrame::Ack { from, id });
        }
        let effect = self.effects.pop_front()?;
        if let Effect::Show(Event::Message { from, id, .. }) = &effect {
            self.showing = Some((from.clone(), *id));
        }
        Some(effect)
    }

    /// The bytes to send, in their order.
    pub fn waiting(&self) -> &[u8] {
        self.link.as_ref().map_or(&[], Link::waiting)
    }

    /// The first `len` of them were taken by the connection.
    pub fn sent(&mut self, len: usize) {
        if let Some(link) = &mut self.link {
            link.sent(len);
        }
    }

    /// Whether another line may be read.
    pub fn wants_input(&self) -> bool {
        let leaving = matches!(self.stage, Stage::Leaving { .. } | Stage::Over);
        !leaving && !self.input_ended && self.lines.len() < LINES_MAX
    }

    /// What the next line will be taken for.
    pub fn prompt(&self) -> Prompt {
        match self.stage {
            Stage::Username => Prompt::Username,
            Stage::Password { .. } => Prompt::Password,
            Stage::LoggingIn { .. } | Stage::Leaving { .. } | Stage::Over => Prompt::Wait,
            Stage::Online { .. } => Prompt::Command,
        }
    }

    /// The messages that were shown, for the next client of this user.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Goes as far as what is known allows.
    fn advance(&mut self) {
        loop {
            match &mut self.stage {
                Stage::Username => {
                    match self.setup.user.take().map(Line::Text).or_else(|| self.lines.pop_front()) {
                        Some(Line::Text(user)) => {
                            self.stage = Stage::Password { user: user.trim().to_owned() }
                        }
                        Some(_) => return self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned())),
                        None => break,
                    }
                }
                Stage::Password { user } => {
                    match self.setup.password.take().map(Line::Text).or_else(|| self.lines.pop_front()) {
                        Some(Line::Text(password)) => {
                            let user = std::mem::take(user);
                            if let Err(error) = user.parse::<Username>() {
                                return self.refuse_locally(error.to_string());
                            }
                            self.stage = Stage::LoggingIn { user, password, step: Step::Waiting };
                            match &mut self.link {
                                Some(link) => link.restart_clock(self.now.mono),
                                None => self.dial(),
                            }
                        }
                        Some(_) => return self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned())),
                        None => break,
                    }
                }
                Stage::LoggingIn { user, step: step @ Step::Waiting, .. } => {
                    let Some(link) = self.link.as_mut().filter(|link| link.is_greeted()) else { break };
                    let nonce = Nonce::new(self.random.bytes());
                    let (first, client_first) = scram::client::ClientFirst::new(user, nonce, None);
                    link.send(&ClientFrame::Auth {
                        mechanism: Mechanism::Sha256,
                        client_first: &client_first,
                    });
                    *step = Step::Challenge(first);
                }
                Stage::Online { .. } => return self.run_commands(),
                Stage::LoggingIn { .. } | Stage::Leaving { .. } | Stage::Over => return,
            }
        }
        if let Some(link) = &mut self.link {
            link.waits_for_user = !matches!(self.stage, Stage::LoggingIn { .. });
        }
        if self.input_ended && matches!(self.stage, Stage::Username | Stage::Password { .. }) {
            self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned()));
        }
    }

    fn run_commands(&mut self) {
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
                }
            }
        }
        let done = self.input_ended && self.lines.is_empty();
        if (done || self.logout.is_some()) && self.requests.is_empty() {
            self.leave(self.logout);
        }
    }

    fn run(&mut self, number: u64, command: Command) {
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
            Command::Logout => self.logout = Some(number),
            Command::Help { text } => self.show(Event::Ok { number, outcome: Outcome::Help { text } }),
        }
    }

    /// Asks the server to end the session.
    fn leave(&mut self, number: Option<u64>) {
        let Stage::Online { user } = &self.stage else { return };
        let until = self.now.mono.after(LEAVING_TIME_MAX);
        self.stage = Stage::Leaving { user: user.clone(), until };
        self.lines.clear();
        if let Some(link) = &mut self.link {
            let request = self.requests.open(number, Request::Logout);
            link.send(&ClientFrame::Logout { request });
        }
    }

    fn interrupt(&mut self) {
        match self.stage {
            Stage::Online { .. } => self.leave(None),
            Stage::Leaving { .. } => self.finish(DisconnectReason::Logout, exit::LOGGED_OUT),
            _ => self.quit(exit::LOGGED_OUT, None),
        }
    }

    fn closed(&mut self) {
        let Some(link) = self.link.take() else { return };
        match &self.stage {
            Stage::Online { .. } => self.finish(DisconnectReason::Lost, exit::CONNECTION),
            Stage::Leaving { .. } => self.finish(DisconnectReason::Logout, exit::LOGGED_OUT),
            // The server does not wait for a person who thinks: it is dialled again when he has decided.
            Stage::Username | Stage::Password { .. } if link.is_greeted() => {
                self.effects.push_back(Effect::HangUp)
            }
            _ => {
                let complaint = "The server closed the connection before the log-in was done.";
                self.quit(exit::CONNECTION, Some(complaint.to_owned()));
            }
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        link.received(bytes, self.now.mono);
        // Taken out while its frames are handled, because they borrow from it.
        let mut decoder = std::mem::replace(&mut link.decoder, protocol::FrameDecoder::new(0));
        let outcome = self.handle_frames(&mut decoder);
        if let Some(link) = &mut self.link {
            link.decoder = decoder;
        }
        if let Err(error) = outcome {
            let text = format!("The server sent something that is not the protocol: {error}.");
            if matches!(self.stage, Stage::Online { .. } | Stage::Leaving { .. }) {
                self.show(Event::Notice { text });
                self.finish(DisconnectReason::Lost, exit::CONNECTION);
            } else {
                self.quit(exit::CONNECTION, Some(text));
            }
        }
    }

    fn handle_frames(&mut self, decoder: &mut protocol::FrameDecoder) -> Result<(), ProtocolError> {
        while let Some(state) = self.link.as_ref().map(|link| link.state) {
            let Some(body) = decoder.next_body()? else { break };
            let frame = ServerFrame::decode(body, state)?;
            self.handle_frame(frame)?;
            if self.link.is_none() || matches!(self.stage, Stage::Over) {
                // Hung up: what is left came over a connection that is no more, and not over the next one.
                break;
            }
            // The next frame may answer what only goes out now.
            self.advance();
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: ServerFrame<'_>) -> Result<(), ProtocolError> {
        match frame {
            ServerFrame::Hello { version } => self.hello(version),
            ServerFrame::Challenge { server_first } => self.challenge(server_first),
            ServerFrame::Welcome { user, server_final } => self.welcome(user, server_final),
            ServerFrame::LoginRefused { code, retry_after_s, text } => {
                self.login_refused(code, retry_after_s, text);
            }
            ServerFrame::Deliver { from, id, sent_at, offline, text } => {
                if self.seen.insert(&from, id) {
                    self.show(Event::Message { id, from, text: text.to_owned(), sent_at, offline });
                } else if let Some(link) = &mut self.link {
                    link.send(&ClientFrame::Ack { from, id });
                }
            }
            ServerFrame::Announce { from, id, sent_at, text } => {
                if self.seen.insert(&from, id) {
                    self.show(Event::Broadcast { id, from, text: text.to_owned(), sent_at });
                }
            }
            ServerFrame::Presence { changes } => {
                for (user, change) in changes {
                    if self.user() != Some(&user) {
                        self.show(Event::Presence { user, change });
                    }
                }
            }
            ServerFrame::Delivered { request } => {
                self.answered(request, Answer::Message(MessageState::Delivered))?;
            }
            ServerFrame::Stored { request } => {
                self.answered(request, Answer::Message(MessageState::Stored))?
            }
            ServerFrame::Sent { request, recipients, blocked } => {
                self.answered(request, Answer::Sent { recipients, blocked })?;
            }
            ServerFrame::Users { request, more, users } => {
                self.answered(request, Answer::Users { users, more })?
            }
            ServerFrame::Done { request } => self.answered(request, Answer::Done)?,
            ServerFrame::Refused { request, code, text } => {
                if let Some((number, command)) = self.requests.refused(request).map_err(unexpected)? {
                    let (command, text) = (command.to_owned(), text.to_owned());
                    self.show(Event::Error { number, command, code, text });
                }
            }
            ServerFrame::Notice { text } => self.show(Event::Notice { text: text.to_owned() }),
            ServerFrame::Goodbye { reason, text } => self.goodbye(reason, text),
            ServerFrame::Ping => {
                if let Some(link) = &mut self.link {
                    link.send(&ClientFrame::Pong);
                }
            }
            ServerFrame::Pong => {}
        }
        Ok(())
    }

    fn hello(&mut self, version: u32) {
        if version == VERSION {
            if let Some(link) = &mut self.link {
                link.state = State::Login;
            }
        } else {
            let text = format!(
                "The server speaks version {version} of the protocol, this client version {VERSION}."
            );
            self.quit(exit::CONNECTION, Some(text));
        }
    }

    fn challenge(&mut self, server_first: &str) {
        let Stage::LoggingIn { password, step, .. } = &mut self.stage else { return };
        let Step::Challenge(first) = std::mem::replace(step, Step::Waiting) else { return };
        let challenge = match first.read_challenge(server_first) {
            Ok(challenge) => challenge,
            Err(error) => {
                return self.quit(exit::IDENTITY, Some(format!("The log-in was stopped: {error}.")));
            }
        };
        let salted = SaltedPassword::derive(password, challenge.salt(), challenge.iterations());
        let (answer, client_final) = challenge.answer(&salted);
        *step = Step::Answered(answer);
        if let Some(link) = &mut self.link {
            link.send(&ClientFrame::Proof { client_final: &client_final });
        }
    }

    fn welcome(&mut self, user: Username, server_final: &str) {
        let Stage::LoggingIn { step, .. } = &mut self.stage else { return };
        let Step::Answered(answer) = std::mem::replace(step, Step::Waiting) else { return };
        if let Err(error) = answer.verify(server_final) {
            return self.quit(exit::IDENTITY, Some(format!("This is not the server you know: {error}.")));
        }
        if let Some(link) = &mut self.link {
            link.state = State::Chat;
        }
        self.stage = Stage::Online { user: user.clone() };
        self.show(Event::Login { user });
    }

    fn login_refused(&mut self, code: LoginRefusal, retry_after_s: u64, text: &str) {
        let Stage::LoggingIn { user, .. } = &mut self.stage else { return };
        let user = std::mem::take(user);
        self.hang_up();
        let no_more = self.input_ended && self.lines.is_empty();
        let is_final = code != LoginRefusal::BadCredentials || self.one_try || no_more;
        let retry_after_s = (code == LoginRefusal::Locked).then_some(retry_after_s);
        self.show(Event::LoginFailed { code, text: text.to_owned(), is_final, retry_after_s });
        if is_final {
            self.quit(exit::LOGIN_REFUSED, None);
        } else {
            self.stage = Stage::Password { user };
        }
    }

    /// A name that nobody can have is answered like any other wrong one.
    fn refuse_locally(&mut self, text: String) {
        let code = LoginRefusal::BadCredentials;
        self.show(Event::LoginFailed { code, text, is_final: true, retry_after_s: None });
        self.quit(exit::LOGIN_REFUSED, None);
    }

    fn answered(&mut self, request: protocol::RequestId, answer: Answer) -> Result<(), ProtocolError> {
        if let Some((number, outcome)) = self.requests.answer(request, answer).map_err(unexpected)? {
            self.show(Event::Ok { number, outcome });
        }
        Ok(())
    }

    fn goodbye(&mut self, reason: GoodbyeReason, text: &str) {
        if self.user().is_none() {
            // After a log-in deadline the connection is dialled again when it is needed.
            return match (&self.stage, reason) {
                (Stage::Username | Stage::Password { .. }, GoodbyeReason::Login) => self.hang_up(),
                _ => self.quit(exit::CONNECTION, Some(text.to_owned())),
            };
        }
        let (reason, code) = match reason {
            GoodbyeReason::Logout => (DisconnectReason::Logout, exit::LOGGED_OUT),
            GoodbyeReason::Timeout => (DisconnectReason::Timeout, exit::TIMEOUT),
            GoodbyeReason::Shutdown => (DisconnectReason::Shutdown, exit::CONNECTION),
            GoodbyeReason::Replaced => (DisconnectReason::Replaced, exit::CONNECTION),
            GoodbyeReason::Removed
            | GoodbyeReason::Login
            | GoodbyeReason::TooSlow
            | GoodbyeReason::Protocol => {
                self.show(Event::Notice { text: text.to_owned() });
                (DisconnectReason::Lost, exit::CONNECTION)
            }
        };
        self.finish(reason, code);
    }

    fn user(&self) -> Option<&Username> {
        match &self.stage {
            Stage::Online { user } | Stage::Leaving { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The end of a session: every command still gets its answer.
    fn finish(&mut self, reason: DisconnectReason, code: u8) {
        let text = "The connection ended before the server answered: it may or may not have arrived.";
        for (number, command) in self.requests.abandon() {
            let code = ErrorCode::NotConfirmed;
            self.show(Event::Error { number, command: command.to_owned(), code, text: text.to_owned() });
        }
        if let Some(number) = self.logout.take().filter(|_| matches!(self.stage, Stage::Online { .. })) {
            self.show(Event::Error {
                number,
                command: "logout".to_owned(),
                code: ErrorCode::NotConnected,
                text: NOT_SENT.to_owned(),
            });
        }
        for line in std::mem::take(&mut self.lines) {
            self.count += 1;
            let command = match &line {
                Line::Text(text) | Line::TooLong(text) => command::word_of(text),
                Line::NotText => String::new(),
            };
            let code = ErrorCode::NotConnected;
            self.show(Event::Error { number: self.count, command, code, text: NOT_SENT.to_owned() });
        }
        self.show(Event::Disconnected { reason });
        self.quit(code, None);
    }

    fn quit(&mut self, code: u8, complaint: Option<String>) {
        self.hang_up();
        self.stage = Stage::Over;
        self.effects.push_back(Effect::Exit { code, complaint });
    }

    fn dial(&mut self) {
        self.link = Some(Link::dial(self.now.mono));
        self.effects.push_back(Effect::Dial);
    }

    /// What is still to be sent stays for the shell until the next [`Core::dial`].
    fn hang_up(&mut self) {
        self.effects.push_back(Effect::HangUp);
        if !matches!(self.stage, Stage::Online { .. } | Stage::Leaving { .. }) {
            self.link = None;
        }
    }

    fn show(&mut self, event: Event) {
        self.effects.push_back(Effect::Show(event));
    }
}

const NO_CREDENTIALS: &str = "No right username and password were given, so there was no log-in.";
const NOT_SENT: &str = "There is no connection to the server any more; this was not sent.";

fn unexpected(_: Unexpected) -> ProtocolError {
    ProtocolError::Tag { tag: "reply".to_owned() }
}
