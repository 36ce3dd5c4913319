//! The client's event loop: one poll for standard input, the server's socket, the sockets of other clients, and
//! signals.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Poll, Token, Waker, net::TcpListener};
use protocol::{
    time::{MonoMs, Now, UnixMs},
    transport::Progress,
};

use super::{
    connection::{Connection, Dialled, Route},
    disk::Disk,
    known_hosts::KnownHosts,
    known_peers::KnownPeersFile,
    output::Output,
    peers::{Peers, default_address},
    seen_file::{SeenFile, SeenFiles},
    signals::{Signal, Signals},
    stdin::{Mode, Stdin, Typed},
};
use crate::{
    core::{Core, Effect, Event, Input, Line, PeerEffect, PeerInput, Setup},
    face::{key::Key, line_editor::Action},
};

const WAKER: Token = Token(0);
const STDIN: Token = Token(1);
const SIGNALS: Token = Token(2);
const SERVER: Token = Token(3);
/// From here on the tokens are those of other clients.
pub(super) const PEERS: usize = 4;

/// Bytes read from the server in one turn, so that a flood leaves time for the keys.
const READ_LEN_MAX: usize = 64 * 1024;

pub(super) struct RunLoop {
    poll: Poll,
    started: Instant,
    core: Core,
    stdin: Stdin,
    signals: Signals,
    output: Output,
    route: Route,
    known_hosts: KnownHosts,
    known_peers: KnownPeersFile,
    seen_files: SeenFiles,
    /// Of the user who is logged in.
    seen: Option<SeenFile>,
    peers: Peers,
    disk: Disk,
    connection: Option<Connection>,
    /// The socket may have more than one turn's worth.
    readable: bool,
    buffer: Vec<u8>,
}

/// What the client finds around it: the server, other clients, the directory of files.
pub(super) struct Surroundings {
    pub(super) route: Route,
    pub(super) known_hosts: KnownHosts,
    pub(super) peers: Peers,
    pub(super) known_peers: KnownPeersFile,
    pub(super) seen_files: SeenFiles,
    /// Where others reach this client, if that was asked for.
    pub(super) listener: Option<TcpListener>,
    /// For `register` and `download`.
    pub(super) dir: PathBuf,
}

impl RunLoop {
    pub(super) fn new(
        setup: Setup,
        surroundings: Surroundings,
        seed: [u8; 32],
        output: Output,
        mode: Mode,
    ) -> io::Result<Self> {
        let Surroundings { route, known_hosts, mut peers, known_peers, seen_files, listener, dir } =
            surroundings;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let disk = Disk::start(dir, Arc::clone(&waker))?;
        let stdin = Stdin::new(poll.registry(), STDIN, waker, mode)?;
        let signals = Signals::register(poll.registry(), SIGNALS, mode == Mode::Keys)?;
        if let Some(listener) = listener {
            peers.listen(listener, poll.registry())?;
        }
        let started = Instant::now();
        let core = Core::new(setup, seed, now_at(started));
        Ok(Self {
            poll,
            started,
            core,
            stdin,
            signals,
            output,
            route,
            known_hosts,
            known_peers,
            seen_files,
            seen: None,
            peers,
            disk,
            connection: None,
            readable: false,
            buffer: vec![0; READ_LEN_MAX],
        })
    }

    /// Turns until the core says that it is over; the exit code.
    pub(super) fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(64);
        loop {
            if let Some(code) = self.carry_out()? {
                return Ok(code);
            }
            let wanted = self.wants_input();
            self.stdin.set_wanted(self.poll.registry(), wanted)?;
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                // The events of an interrupted poll are those of the one before.
                Err(_) => events.clear(),
                Ok(()) => {}
            }
            let mut has_input = self.stdin.always_ready();
            for event in &events {
                match event.token() {
                    STDIN => has_input = true,
                    SIGNALS => self.handle_signals()?,
                    SERVER => self.readable = true,
                    _ => {
                        self.peers.note(event);
                    }
                }
            }
            if self.readable {
                self.serve_connection();
            }
            while let Some(reply) = self.disk.take() {
                self.core.handle_input(self.now(), Input::Disk(reply));
            }
            let now = self.now();
            self.peers.serve(&mut self.core, self.poll.registry(), now);
            if has_input {
                self.read_input()?;
            }
            self.stdin.handle_timeout(Instant::now());
            self.core.handle_timeout(self.now());
        }
    }

    /// At a terminal the interrupt key must always get through.
    fn wants_input(&mut self) -> bool {
        self.output.as_terminal().is_some() || self.core.wants_input()
    }

    fn patience(&self) -> Option<Duration> {
        if self.readable || self.stdin.always_ready() || self.peers.has_work() {
            return Some(Duration::ZERO);
        }
        let deadline = |at: MonoMs| Duration::from_millis(at.0).saturating_sub(self.started.elapsed());
        let core = self.core.poll_timeout().map(deadline);
        let stdin = self.stdin.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        core.into_iter().chain(stdin).min()
    }

    fn now(&self) -> Now {
        now_at(self.started)
    }

    /// Carries out what the core asks for and sends what it has to send; the exit code when it is over.
    fn carry_out(&mut self) -> io::Result<Option<u8>> {
        loop {
            // Before the user is told of it, so that what he does next finds it done.
            self.send_all();
            while let Some(effect) = self.core.poll_output() {
                if let Some(code) = self.carry_out_one(effect)? {
                    return Ok(Some(code));
                }
            }
            self.send_all();
            // What has left may be the reason for more: a link to close, a block to read.
            if self.core.is_drained() {
                break;
            }
        }
        self.output.draw(self.core.prompt())?;
        Ok(None)
    }

    fn carry_out_one(&mut self, effect: Effect) -> io::Result<Option<u8>> {
        match effect {
            Effect::Dial => self.dial(),
            Effect::HangUp => {
                self.send();
                if let Some(mut connection) = self.connection.take() {
                    connection.close(self.poll.registry());
                }
            }
            Effect::Show(event) => self.show(&event)?,
            Effect::Remember(fingerprint) => {
                if let Err(error) = self.known_hosts.remember(fingerprint) {
                    self.output.show(&Event::Notice { text: error.to_string() })?;
                }
            }
            Effect::Recall { user, server } => {
                let (file, seen, error) = self.seen_files.open(&user, server);
                self.seen = Some(file);
                if let Some(error) = error {
                    self.output.show(&Event::Notice { text: error.to_string() })?;
                }
                self.core.handle_input(self.now(), Input::Recalled(seen));
            }
            Effect::Peer(PeerEffect::Remember { user, key }) => {
                if let Err(error) = self.known_peers.remember(&user, key) {
                    self.output.show(&Event::Notice { text: error.to_string() })?;
                }
            }
            Effect::Peer(effect) => {
                let now = self.now();
                self.peers.carry_out(effect, &mut self.core, self.poll.registry(), now);
            }
            Effect::Disk(job) => self.disk.give(job),
            Effect::Exit { code, complaint } => {
                let now = self.now();
                self.peers.send(&mut self.core, now);
                if let Some(terminal) = self.output.as_terminal() {
                    terminal.finish()?;
                }
                self.output = Output::Plain;
                if let Some(complaint) = complaint {
                    // There is no other place left to say it.
                    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("parlour: {complaint}\n"));
                }
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    fn show(&mut self, event: &Event) -> io::Result<()> {
        let Some((from, id)) = event.message() else { return self.output.show(event) };
        let mut noted = Ok(());
        self.output.show_and_note(event, || {
            if let Some(file) = &mut self.seen {
                noted = file.note(from, id);
            }
        })?;
        match noted {
            Ok(()) => Ok(()),
            Err(error) => self.output.show(&Event::Notice { text: error.to_string() }),
        }
    }

    fn dial(&mut self) {
        match Connection::dial(self.route.clone(), self.poll.registry(), SERVER) {
            Ok(connection) => self.connection = Some(connection),
            Err(reason) => self.dial_failed(&reason),
        }
    }

    fn dial_failed(&mut self, reason: &str) {
        let address = self.route.addresses.first().map_or_else(String::new, ToString::to_string);
        let reason = format!("cannot connect to {address}: {reason}");
        self.core.handle_input(self.now(), Input::DialFailed(&reason));
    }

    fn send_all(&mut self) {
        self.send();
        let now = self.now();
        self.peers.send(&mut self.core, now);
    }

    fn send(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.stands()) else {
            return;
        };
        while !self.core.waiting().is_empty() {
            let (len, progress) = connection.write(self.core.waiting());
            self.core.sent(len);
            if progress != Progress::More {
                // The event for more room comes by itself; that of a broken connection too, on the read side.
                return;
            }
        }
    }

    fn serve_connection(&mut self) {
        self.readable = false;
        let now = self.now();
        let Some(connection) = &mut self.connection else { return };
        if !connection.stands() {
            match connection.check(self.poll.registry(), SERVER) {
                Ok(Dialled::Waits) => return,
                Ok(Dialled::Stands(secured)) => {
                    let local = connection.local_ip();
                    self.core.handle_input(now, Input::Connected(secured));
                    return self.listen(local);
                }
                Err(reason) => {
                    self.connection = None;
                    return self.dial_failed(&reason);
                }
            }
        }
        connection.flush();
        let (len, progress) = connection.read(&mut self.buffer);
        // Last bytes first: they may make the core hang up by itself, and the end is seen again next turn.
        self.readable = progress == Progress::More || (progress == Progress::Ended && len > 0);
        if let Some(bytes) = self.buffer.get(..len).filter(|bytes| !bytes.is_empty()) {
            self.core.handle_input(now, Input::Received(bytes));
        } else if progress == Progress::Ended {
            connection.close(self.poll.registry());
            self.connection = None;
            self.core.handle_input(now, Input::Closed);
        }
    }

    /// Listens for other clients where those who reach the server are likely to reach this one.
    fn listen(&mut self, local: Option<IpAddr>) {
        self.readable = true;
        let Some(local) = local else { return };
        let bound = match self.peers.listening_at() {
            Some(bound) => Ok(bound),
            None => TcpListener::bind(default_address(local))
                .and_then(|listener| self.peers.listen(listener, self.poll.registry())),
        };
        let addresses = match bound {
            Ok(bound) if bound.ip().is_unspecified() => vec![SocketAddr::new(local, bound.port())],
            Ok(bound) => vec![bound],
            // Others still reach this client when it dials back, or over the server.
            Err(_) => Vec::new(),
        };
        self.core.handle_input(self.now(), Input::Peer(PeerInput::Listening(addresses)));
    }

    fn read_input(&mut self) -> io::Result<()> {
        let mut typed = Vec::new();
        self.stdin.read(self.poll.registry(), &mut typed)?;
        for typed in typed {
            let input = match typed {
                Typed::Line(text) => Input::Line(Line::Text(text)),
                Typed::NotText => Input::Line(Line::NotText),
                Typed::TooLong { start } => Input::Line(Line::TooLong(start)),
                Typed::End => Input::EndOfInput,
                Typed::Key(key) => {
                    self.handle_key(key)?;
                    continue;
                }
                Typed::Resized => {
                    self.resize();
                    continue;
                }
            };
            self.core.handle_input(self.now(), input);
        }
        Ok(())
    }

    fn handle_key(&mut self, key: Key) -> io::Result<()> {
        let Some(terminal) = self.output.as_terminal() else { return Ok(()) };
        let mut action = terminal.key(key);
        loop {
            let input = match action {
                Action::None => return Ok(()),
                // Enter on an empty line is no command.
                Action::Line(line) if line.trim().is_empty() => None,
                Action::Line(line) => Some(Input::Line(Line::Text(line))),
                Action::End => Some(Input::EndOfInput),
                Action::Interrupt => Some(Input::Interrupt),
                Action::Suspend => {
                    if let Some(terminal) = self.output.as_terminal() {
                        terminal.suspend()?;
                    }
                    None
                }
            };
            if let Some(input) = input {
                self.core.handle_input(self.now(), input);
                // A pasted password must find the prompt that hides it.
                self.output.draw(self.core.prompt())?;
            }
            let Some(terminal) = self.output.as_terminal() else { return Ok(()) };
            action = terminal.next_pasted();
        }
    }

    fn handle_signals(&mut self) -> io::Result<()> {
        for signal in self.signals.pending() {
            match signal {
                Signal::Interrupt => self.core.handle_input(self.now(), Input::Interrupt),
                Signal::Resize => self.resize(),
                Signal::Suspend => {
                    if let Some(terminal) = self.output.as_terminal() {
                        terminal.suspend()?;
                    }
                }
                Signal::Continued => {
                    if let Some(terminal) = self.output.as_terminal() {
                        terminal.resume()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn resize(&mut self) {
        if let Some(terminal) = self.output.as_terminal() {
            terminal.resize();
        }
    }
}

fn now_at(started: Instant) -> Now {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: MonoMs(millis(started.elapsed())), wall: UnixMs(millis(wall)) }
}
