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
mod commands;
mod event;
pub mod files;
mod filing;
mod link;
mod login;
mod peering;
pub mod peers;
mod recall;
mod reconnect;
mod requests;
mod seen;
mod setup;
mod trust;

use core::time::Duration;
use std::{collections::VecDeque, fmt};

use protocol::{
    ClientFrame, ErrorCode, Fingerprint, GoodbyeReason, MessageId, ProtocolError, ServerFrame, State,
    Username,
    random::RandomStream,
    time::{MonoMs, Now},
    transport::Secured,
};

pub use command::words as command_words;
pub use event::{
    Direction, DisconnectReason, Downloaded, Event, FileEntry, Holder, MessageState, Outcome, PrivateEnd,
    Progress, Transfer,
};
pub use files::Rates;
pub use peers::{KnownPeers, LinkId, PeerEffect, PeerInput};
pub use seen::Seen;
pub use setup::Setup;
pub use trust::Trust;

use command::FileCommand;
use commands::unexpected;
use files::{
    Files, ServerAnswer,
    disk::{DiskJob, DiskReply},
};
use link::{Link, Pulse};
use login::Step;
use peers::Peers;
use recall::Recall;
use reconnect::Away;
use requests::{Abandoned, Answer, Refused, Request, Requests};

/// Lines held here before the shell stops reading more: enough to keep the server busy, and no more than a
/// few MiB in the worst case.
const LINES_MAX: usize = 128;
/// How long the server's goodbye may take after a logout.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(5);

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
    /// Answers [`Effect::Dial`]: the connection stands, and this is what its handshake has shown; `None`
    /// without TLS.
    Connected(Option<Secured>),
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
    /// Something about links to other clients.
    Peer(PeerInput<'a>),
    /// Answers [`Effect::Disk`].
    Disk(DiskReply),
    /// Answers [`Effect::Recall`]: of this client and those before it.
    Recalled(Seen),
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to the server.
    Dial,
    /// Close the connection, after sending what waits.
    HangUp,
    /// Show this to the user. If it is [`Event::message`], its id is written down for [`Effect::Recall`] when only
    /// the last bit of it is not shown yet.
    Show(Event),
    /// This is the server's key; it has proven that it knows the user's password.
    Remember(Fingerprint),
    /// This user is logged in; which messages were shown to him before, the last one last? To be answered before
    /// the connection is read again.
    Recall {
        /// Whose messages.
        user: Username,
        /// The server's key; `None` without TLS.
        server: Option<Fingerprint>,
    },
    /// Something about links to other clients.
    Peer(PeerEffect),
    /// Something to be done with files, off the loop.
    Disk(DiskJob),
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
    /// Whether the server's key is the right one: yes or no.
    Trust,
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
    /// With what the user is logged in, to do so again when the connection is lost.
    credentials: Option<(String, String)>,
    /// The connection was lost and is being made again.
    away: Option<Away>,
    link: Option<Link>,
    /// Counts the connections, so that the bytes of one are never taken for another's.
    dials: u64,
    lines: VecDeque<Line>,
    input_ended: bool,
    /// Commands read so far.
    count: u64,
    requests: Requests,
    /// The number of a `logout` that waits for the commands before it.
    logout: Option<u64>,
    seen: Seen,
    recall: Recall,
    peers: Peers,
    files: Files,
    /// Commands about a file that is being registered: they wait for that.
    held_back: VecDeque<(u64, FileCommand)>,
    /// The message that the last effect shows.
    showing: Option<Shown>,
    effects: VecDeque<Effect>,
}

/// A message whose sender waits to hear that it was shown.
#[derive(Debug)]
enum Shown {
    Message(Username, MessageId),
    Private(Username),
}

enum Stage {
    /// Before the first connection stands, nobody is asked for anything.
    Connecting,
    /// A person is asked about the key that the server shows.
    Trust {
        secured: Secured,
        shown: Fingerprint,
    },
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
        /// Whether everything that waited has come. Commands wait for that, so that their answers do not come
        /// between.
        is_ready: bool,
    },
    /// A logout is on its way.
    Leaving {
        user: Username,
        until: MonoMs,
    },
    Over,
}

/// The password stays out of logs.
impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "Connecting",
            Self::Trust { .. } => "Trust",
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
    /// and nonces are made of it.
    pub fn new(setup: Setup, random_seed: [u8; 32], now: Now) -> Self {
        let mut random = RandomStream::from_seed(random_seed);
        let mut core = Self {
            now,
            files: Files::new(RandomStream::from_seed(random.bytes()), setup.rates),
            held_back: VecDeque::new(),
            random,
            peers: Peers::new(setup.key, setup.known_peers.clone()),
            one_try: setup.user.is_some() && setup.password.is_some(),
            setup,
            stage: Stage::Connecting,
            credentials: None,
            away: None,
            link: None,
            dials: 0,
            lines: VecDeque::new(),
            input_ended: false,
            count: 0,
            requests: Requests::default(),
            logout: None,
            seen: Seen::default(),
            recall: Recall::default(),
            showing: None,
            effects: VecDeque::new(),
        };
        core.dial();
        core
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match input {
            Input::Connected(secured) => self.connected(secured),
            Input::DialFailed(reason) => {
                self.link = None;
                self.no_connection(reason);
            }
            Input::Received(bytes) => self.received(bytes),
            Input::Closed => self.closed(),
            Input::Line(line) => self.lines.push_back(line),
            Input::EndOfInput => self.input_ended = true,
            Input::Interrupt => self.interrupt(),
            Input::Peer(input) => self.peer_input(input),
            Input::Disk(reply) => self.files.disk(reply, self.now.mono),
            Input::Recalled(seen) => {
                self.recall.recalled(self.seen.add(seen));
                self.read_frames();
            }
        }
        self.advance();
        self.pump();
    }

    /// Notices what is late.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.pulse();
        let Self { peers, files, .. } = self;
        peers.handle_timeout(now.mono, |link| files.uses(link));
        files.handle_timeout(now.mono);
        self.advance();
        self.pump();
    }

    fn pulse(&mut self) {
        let now = self.now;
        if let Stage::Leaving { until, .. } = self.stage
            && until <= now.mono
        {
            return self.finish(DisconnectReason::Logout, exit::LOGGED_OUT);
        }
        self.dial_again_if_due();
        let Some(link) = self.link.as_mut().filter(|_| !matches!(self.stage, Stage::Over)) else { return };
        match link.pulse(now.mono) {
            Pulse::Fine => {}
            Pulse::NoAnswer => {
                self.no_connection("The server did not answer in time. Is this the right address and port?");
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
        let link = self.link.as_ref().and_then(Link::deadline);
        let peers = self.peers.poll_timeout(|link| self.files.uses(link));
        let away = self.away.as_ref().and_then(Away::deadline);
        let files = self.files.poll_timeout();
        link.into_iter().chain(leaving).chain(peers).chain(files).chain(away).min()
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Effect> {
        match (self.showing.take(), &mut self.link) {
            // On a connection that is new since, nothing goes before the log-in.
            (Some(Shown::Message(from, id)), Some(link)) if link.state == State::Chat => {
                link.send(&ClientFrame::Ack { from, id });
            }
            (Some(Shown::Private(from)), _) => self.peers.shown(&from),
            _ => {}
        }
        let effect = self.effects.pop_front()?;
        self.showing = match &effect {
            Effect::Show(Event::Message { from, id, .. } | Event::Doubt { from, id, .. }) => {
                Some(Shown::Message(from.clone(), *id))
            }
            Effect::Show(Event::Private { from, .. }) => Some(Shown::Private(from.clone())),
            _ => None,
        };
        Some(effect)
    }

    /// Whether nothing is left to be done outside, for now.
    pub fn is_drained(&self) -> bool {
        self.effects.is_empty()
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
            _ if self.away.is_some() => Prompt::Command,
            Stage::Trust { .. } => Prompt::Trust,
            Stage::Username => Prompt::Username,
            Stage::Password { .. } => Prompt::Password,
            Stage::Connecting | Stage::LoggingIn { .. } | Stage::Leaving { .. } | Stage::Over => Prompt::Wait,
            Stage::Online { .. } => Prompt::Command,
        }
    }

    /// Goes as far as what is known allows.
    fn advance(&mut self) {
        loop {
            match &mut self.stage {
                Stage::Trust { .. } => {
                    if !self.ask_about_key() {
                        break;
                    }
                }
                Stage::Username => {
                    let given = self.setup.user.take().map(Line::Text);
                    match given.or_else(|| self.lines.pop_front()) {
                        Some(Line::Text(user)) => {
                            self.stage = Stage::Password { user: user.trim().to_owned() };
                        }
                        Some(_) => return self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned())),
                        None => break,
                    }
                }
                Stage::Password { user } => {
                    let given = self.setup.password.take().map(Line::Text);
                    match given.or_else(|| self.lines.pop_front()) {
                        Some(Line::Text(password)) => {
                            let user = std::mem::take(user);
                            self.start_login(user, password);
                        }
                        Some(_) => return self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned())),
                        None => break,
                    }
                }
                Stage::LoggingIn { step: Step::Waiting, .. } => {
                    if !self.authenticate() {
                        if self.away.is_some() {
                            self.run_commands();
                        }
                        break;
                    }
                }
                Stage::Online { is_ready: true, .. } => return self.run_commands(),
                // What needs no server goes on without one, and the rest waits visibly.
                Stage::LoggingIn { .. } | Stage::Online { .. } if self.away.is_some() => {
                    return self.run_commands();
                }
                Stage::Connecting
                | Stage::LoggingIn { .. }
                | Stage::Online { .. }
                | Stage::Leaving { .. }
                | Stage::Over => return,
            }
        }
        if let Some(link) = &mut self.link {
            link.waits_for_user = !matches!(self.stage, Stage::LoggingIn { .. });
        }
        match self.stage {
            Stage::Trust { .. } if self.input_ended => {
                self.quit(exit::IDENTITY, Some("The server was not trusted.".to_owned()));
            }
            Stage::Username | Stage::Password { .. } if self.input_ended => {
                self.quit(exit::LOGIN_REFUSED, Some(NO_CREDENTIALS.to_owned()));
            }
            _ => {}
        }
    }

    fn interrupt(&mut self) {
        match self.stage {
            _ if self.away.is_some() => self.leave_away(None),
            Stage::Online { .. } => self.leave(None),
            Stage::Leaving { .. } => self.finish(DisconnectReason::Logout, exit::LOGGED_OUT),
            _ => self.quit(exit::LOGGED_OUT, None),
        }
    }

    fn closed(&mut self) {
        let Some(link) = self.link.take() else { return };
        match &self.stage {
            Stage::Online { .. } => self.connection_lost(),
            Stage::Leaving { .. } => self.finish(DisconnectReason::Logout, exit::LOGGED_OUT),
            // The server does not wait for a person who thinks: it is dialled again when he has decided.
            Stage::Trust { .. } => self.effects.push_back(Effect::HangUp),
            Stage::Username | Stage::Password { .. } if link.is_greeted() => {
                self.effects.push_back(Effect::HangUp);
            }
            _ => {
                self.no_connection("The server closed the connection before the log-in was done.");
            }
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        link.received(bytes, self.now.mono);
        self.read_frames();
    }

    fn read_frames(&mut self) {
        let Some(link) = &mut self.link else { return };
        // Taken out while its frames are handled, because they borrow from it.
        let mut decoder = std::mem::replace(&mut link.decoder, protocol::FrameDecoder::new(0));
        let dial = self.dials;
        let outcome = self.handle_frames(dial, &mut decoder);
        if let Some(link) = self.link.as_mut().filter(|_| self.dials == dial) {
            link.decoder = decoder;
        }
        if let Err(error) = outcome {
            let is_plain = self.link.as_ref().is_some_and(|link| link.secured.is_none());
            let advice = if is_plain { " If the server uses TLS, leave out --no-tls." } else { "" };
            let text = format!("The server sent something that is not the protocol: {error}.{advice}");
            if matches!(self.stage, Stage::Online { .. } | Stage::Leaving { .. }) {
                self.show(Event::Notice { text });
                self.finish(DisconnectReason::Lost, exit::CONNECTION);
            } else {
                self.quit(exit::CONNECTION, Some(text));
            }
        }
    }

    fn handle_frames(
        &mut self,
        dial: u64,
        decoder: &mut protocol::FrameDecoder,
    ) -> Result<(), ProtocolError> {
        while let Some(state) = self.link.as_ref().filter(|_| self.dials == dial).map(|link| link.state)
            && !self.recall.is_awaited()
        {
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
                } else {
                    self.delivered_again(from, id, text);
                }
            }
            ServerFrame::Announce { from, id, sent_at, text } => {
                if self.seen.insert(&from, id) {
                    self.show(Event::Broadcast { id, from, text: text.to_owned(), sent_at });
                }
            }
            ServerFrame::Ready => {
                if let Stage::Online { user, is_ready } = &mut self.stage {
                    *is_ready = true;
                    self.peers.logged_in(user);
                    self.files.logged_in(user, self.now.mono);
                    self.back();
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
                self.answered(request, Answer::Message(MessageState::Stored))?;
            }
            ServerFrame::Sent { request, recipients, blocked } => {
                self.answered(request, Answer::Sent { recipients, blocked })?;
            }
            ServerFrame::Users { request, more, users } => {
                self.answered(request, Answer::Users { users, more })?;
            }
            ServerFrame::Done { request } if self.requests.is_inner(request) => self.inner_done(request)?,
            ServerFrame::Done { request } => self.answered(request, Answer::Done)?,
            ServerFrame::Refused { request, code, text } if self.requests.is_inner(request) => {
                self.inner_refused(request, code, text)?;
            }
            ServerFrame::Refused { request, code, text } => {
                match self.requests.refused(request, code).map_err(unexpected)? {
                    Refused::Command { number, command, is_certain } => {
                        let more = if is_certain { "" } else { MAYBE_SHOWN };
                        let (command, text) = (command.to_owned(), format!("{text}{more}"));
                        self.show(Event::Error { number, command, code, text });
                    }
                    Refused::Done(number, outcome) => self.show(Event::Ok { number, outcome }),
                    Refused::Nobody => {}
                }
            }
            frame @ (ServerFrame::Ticket { .. }
            | ServerFrame::Expect { .. }
            | ServerFrame::DialBack { .. }
            | ServerFrame::Relay { .. }
            | ServerFrame::Carry { .. }
            | ServerFrame::Credit { .. }
            | ServerFrame::RelayEnd { .. }) => self.peering_frame(frame)?,
            frame @ (ServerFrame::File { .. } | ServerFrame::Holder { .. } | ServerFrame::Found { .. }) => {
                self.filing_frame(frame)?;
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

    fn goodbye(&mut self, reason: GoodbyeReason, text: &str) {
        if self.user().is_none() {
            // After a log-in deadline the connection is dialled again when it is needed.
            return match (&self.stage, reason) {
                (_, GoodbyeReason::Tampered) => self.quit(exit::IDENTITY, Some(TAMPERED.to_owned())),
                (Stage::Trust { .. } | Stage::Username | Stage::Password { .. }, GoodbyeReason::Login) => {
                    self.hang_up();
                }
                _ => self.no_connection(text),
            };
        }
        let (reason, code) = match reason {
            GoodbyeReason::Logout => (DisconnectReason::Logout, exit::LOGGED_OUT),
            GoodbyeReason::Timeout => (DisconnectReason::Timeout, exit::TIMEOUT),
            GoodbyeReason::Shutdown => (DisconnectReason::Shutdown, exit::CONNECTION),
            GoodbyeReason::Replaced => (DisconnectReason::Replaced, exit::CONNECTION),
            // He wanted to leave.
            GoodbyeReason::TooSlow if matches!(self.stage, Stage::Leaving { .. }) => {
                (DisconnectReason::Logout, exit::LOGGED_OUT)
            }
            GoodbyeReason::TooSlow => return self.connection_lost(),
            GoodbyeReason::Removed
            | GoodbyeReason::Login
            | GoodbyeReason::Tampered
            | GoodbyeReason::Protocol => {
                self.show(Event::Notice { text: text.to_owned() });
                (DisconnectReason::Lost, exit::CONNECTION)
            }
        };
        self.finish(reason, code);
    }

    fn user(&self) -> Option<&Username> {
        match &self.stage {
            Stage::Online { user, .. } | Stage::Leaving { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The end of a session: every command still gets its answer.
    fn finish(&mut self, reason: DisconnectReason, code: u8) {
        // What the parts have to say comes before the end.
        self.pump();
        self.away = None;
        self.abandon();
        if let Some(number) = self.logout.take().filter(|_| !matches!(self.stage, Stage::Leaving { .. })) {
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

    /// Ends every command that waits for an answer, whoever would give it.
    fn abandon(&mut self) {
        let (mut commands, _) = self.requests.abandon();
        let unheard = |(number, command)| Abandoned { number, command, was_sent: true };
        commands.extend(self.peers.abandon().into_iter().map(unheard));
        self.answer_abandoned(commands);
        let held_back = std::mem::take(&mut self.held_back);
        let held_back = held_back.iter().map(|(number, command)| (*number, command.word()));
        let mut files = self.files.abandon();
        files.extend(held_back);
        for (number, command) in files {
            let (code, text) =
                (ErrorCode::Cancelled, "You left before it was done. What was fetched is kept.");
            self.show(Event::Error { number, command: command.to_owned(), code, text: text.to_owned() });
        }
    }

    /// Ends every command that waits for the server's answer.
    fn abandon_requests(&mut self) {
        let (commands, others) = self.requests.abandon();
        self.answer_abandoned(commands);
        for request in others {
            match request {
                Request::Peers(ask) => {
                    self.peers.refused(ask, ErrorCode::NotConnected, NOT_SENT, self.now.mono);
                }
                Request::Files { ask, .. } => self.files.answered(ask, ServerAnswer::Lost, self.now.mono),
                _ => {}
            }
        }
    }

    fn answer_abandoned(&mut self, mut abandoned: Vec<Abandoned>) {
        abandoned.sort_unstable();
        for Abandoned { number, command, was_sent } in abandoned {
            let (code, text) = if was_sent {
                (ErrorCode::NotConfirmed, NOT_CONFIRMED)
            } else {
                (ErrorCode::NotConnected, NOT_SENT)
            };
            self.show(Event::Error { number, command: command.to_owned(), code, text: text.to_owned() });
        }
    }

    fn quit(&mut self, code: u8, complaint: Option<String>) {
        if self.away.is_some() {
            // Somebody who was logged in hears how that ended.
            self.finish(DisconnectReason::Lost, code);
            if let Some(Effect::Exit { complaint: said, .. }) = self.effects.back_mut() {
                *said = complaint;
            }
            return;
        }
        self.hang_up();
        self.stage = Stage::Over;
        self.effects.push_back(Effect::Exit { code, complaint });
    }

    fn dial(&mut self) {
        self.dials += 1;
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

const NOT_CONFIRMED: &str =
    "The connection ended before the server answered: it may or may not have arrived.";
const NO_CREDENTIALS: &str = "No right username and password were given, so there was no log-in.";
const TAMPERED: &str = "The server got this log-in over another connection than yours: somebody sits between you and \
    it. Your password was not revealed. Do not connect from here until you know who it is.";
const NOT_SENT: &str = "There is no connection to the server any more; this was not sent.";
const MAYBE_SHOWN: &str = " It went out before the connection was lost, and may have been shown then.";
