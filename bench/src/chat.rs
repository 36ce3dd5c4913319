//! One user: a client's core on a connection.

use std::io;

use client::core::{Core, Effect, Event, Input, Line, Seen, Setup, Trust};
use mio::{Registry, Token};
use protocol::{Fingerprint, time::Now, transport::Progress};

use crate::{
    PASSWORD, random,
    wire::{Route, Step, Wire},
};

/// A client that logs in by itself.
#[derive(Debug)]
pub struct Chat {
    core: Core,
    /// `None`: the connection is lost.
    wire: Option<Wire>,
    stands: bool,
    wants_dial: bool,
}

impl Chat {
    /// Starts to connect.
    pub fn dial(route: &Route, user: &str, registry: &Registry, token: Token, now: Now) -> io::Result<Self> {
        let setup = Setup {
            user: Some(user.to_owned()),
            password: Some(PASSWORD.to_owned()),
            trust: Trust { is_loopback: true, ..Trust::default() },
            ..Setup::for_key(Fingerprint([0; 32]))
        };
        let core = Core::new(setup, random()?, now);
        let mut chat = Self { core, wire: None, stands: false, wants_dial: false };
        chat.drain(now, &mut Vec::new());
        chat.dial_again(route, registry, token)?;
        Ok(chat)
    }

    /// Whether the core, having lost its connection, wants another now.
    pub fn wants_dial(&self) -> bool {
        self.wants_dial
    }

    /// Starts to connect once more.
    pub fn dial_again(&mut self, route: &Route, registry: &Registry, token: Token) -> io::Result<()> {
        self.wire = Some(route.dial(registry, token)?);
        (self.stands, self.wants_dial) = (false, false);
        Ok(())
    }

    /// Gives the core a line, as if typed.
    pub fn say(&mut self, now: Now, line: String) {
        self.core.handle_input(now, Input::Line(Line::Text(line)));
    }

    /// Whether the core takes another line.
    pub fn wants_input(&self) -> bool {
        self.core.wants_input()
    }

    /// Reads, thinks and writes. What happened is added to `events`. Whether there is a connection, after that.
    pub fn turn(&mut self, now: Now, buffer: &mut [u8], events: &mut Vec<Event>) -> bool {
        self.core.handle_timeout(now);
        self.drain(now, events);
        let is_alive = self.transfer(now, buffer, events);
        if !is_alive && self.wire.take().is_some() {
            let lost = if self.stands { Input::Closed } else { Input::DialFailed("there is no connection") };
            self.core.handle_input(now, lost);
            self.drain(now, events);
        }
        self.wire.is_some()
    }

    /// Whether the connection goes on.
    fn transfer(&mut self, now: Now, buffer: &mut [u8], events: &mut Vec<Event>) -> bool {
        let Some(wire) = &mut self.wire else { return false };
        if !self.stands {
            match wire.step() {
                Step::Waits => return true,
                Step::Lost => return false,
                Step::Stands(secured) => {
                    self.stands = true;
                    self.core.handle_input(now, Input::Connected(secured));
                    self.drain(now, events);
                }
            }
        }
        loop {
            let Some(wire) = &mut self.wire else { return false };
            let (len, progress) = wire.read(buffer);
            self.core.handle_input(now, Input::Received(buffer.get(..len).unwrap_or_default()));
            self.drain(now, events);
            match progress {
                Progress::More => {}
                Progress::Blocked => break,
                Progress::Ended => return false,
            }
        }
        let Some(wire) = &mut self.wire else { return false };
        while !self.core.waiting().is_empty() {
            let (len, progress) = wire.write(self.core.waiting());
            self.core.sent(len);
            if progress != Progress::More {
                return progress == Progress::Blocked;
            }
        }
        wire.flush();
        true
    }

    /// The bare connection, for somebody who does not play by the rules from here on.
    pub fn into_wire(self) -> Option<Wire> {
        self.wire
    }

    fn drain(&mut self, now: Now, events: &mut Vec<Event>) {
        while let Some(effect) = self.core.poll_output() {
            match effect {
                Effect::Show(event) => events.push(event),
                Effect::HangUp | Effect::Exit { .. } => self.wire = None,
                Effect::Dial => self.wants_dial = true,
                // No other client of this user has shown anything.
                Effect::Recall { .. } => self.core.handle_input(now, Input::Recalled(Seen::default())),
                Effect::Remember(_) | Effect::Peer(_) | Effect::Disk(_) => {}
            }
        }
    }
}
