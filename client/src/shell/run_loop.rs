//! The client's event loop: one poll for standard input, the server's socket and signals.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Poll, Token, Waker};
use protocol::{
    time::{MonoMs, Now, UnixMs},
    transport::Progress,
};

use super::{
    connection::{Connection, Dialled, Route},
    known_hosts::KnownHosts,
    output::Output,
    signals::{Signal, Signals},
    stdin::{Mode, Stdin, Typed},
};
use crate::{
    core::{Core, Effect, Event, Input, Line, Seen, Setup},
    face::{key::Key, line_editor::Action},
};

const WAKER: Token = Token(0);
const STDIN: Token = Token(1);
const SIGNALS: Token = Token(2);
const SERVER: Token = Token(3);

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
    connection: Option<Connection>,
    /// The socket may have more than one turn's worth.
    readable: bool,
    buffer: Vec<u8>,
}

impl RunLoop {
    pub(super) fn new(
        setup: Setup,
        (route, known_hosts): (Route, KnownHosts),
        seed: [u8; 32],
        output: Output,
        mode: Mode,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let stdin = Stdin::new(poll.registry(), STDIN, waker, mode)?;
        let signals = Signals::register(poll.registry(), SIGNALS, mode == Mode::Keys)?;
        let started = Instant::now();
        let core = Core::new(setup, Seen::default(), seed, now_at(started));
        Ok(Self {
            poll,
            started,
            core,
            stdin,
            signals,
            output,
            route,
            known_hosts,
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
                    _ => {}
                }
            }
            if self.readable {
                self.serve_connection();
            }
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
        if self.readable || self.stdin.always_ready() {
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
        while let Some(effect) = self.core.poll_output() {
            match effect {
                Effect::Dial => self.dial(),
                Effect::HangUp => {
                    self.send();
                    if let Some(mut connection) = self.connection.take() {
                        connection.close(self.poll.registry());
                    }
                }
                Effect::Show(event) => self.output.show(&event)?,
                Effect::Remember(fingerprint) => {
                    if let Err(error) = self.known_hosts.remember(fingerprint) {
                        self.output.show(&Event::Notice { text: error.to_string() })?;
                    }
                }
                Effect::Exit { code, complaint } => {
                    if let Some(terminal) = self.output.as_terminal() {
                        terminal.finish()?;
                    }
                    self.output = Output::Plain;
                    if let Some(complaint) = complaint {
                        // There is no other place left to say it.
                        let _ =
                            io::Write::write_fmt(&mut io::stderr(), format_args!("parlour: {complaint}\n"));
                    }
                    return Ok(Some(code));
                }
            }
        }
        self.send();
        self.output.draw(self.core.prompt())?;
        Ok(None)
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
                Ok(Dialled::Stands(secured)) => self.core.handle_input(now, Input::Connected(secured)),
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
