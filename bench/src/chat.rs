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
    wire: Wire,
    stands: bool,
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
        Ok(Self { core, wire: route.dial(registry, token)?, stands: false })
    }

    /// Gives the core a line, as if typed.
    pub fn say(&mut self, now: Now, line: String) {
        self.core.handle_input(now, Input::Line(Line::Text(line)));
    }

    /// Whether the core takes another line.
    pub fn wants_input(&self) -> bool {
        self.core.wants_input()
    }

    /// Reads, thinks and writes. What happened is added to `events`. Whether the connection goes on.
    pub fn turn(&mut self, now: Now, buffer: &mut [u8], events: &mut Vec<Event>) -> bool {
        if !self.stands {
            match self.wire.step() {
                Step::Waits => return true,
                Step::Lost => return false,
                Step::Stands(secured) => {
                    self.stands = true;
                    self.core.handle_input(now, Input::Connected(secured));
                }
            }
        }
        self.core.handle_timeout(now);
        let mut goes_on = self.drain(now, events);
        while goes_on {
            let (len, progress) = self.wire.read(buffer);
            self.core.handle_input(now, Input::Received(buffer.get(..len).unwrap_or_default()));
            goes_on = self.drain(now, events) && progress != Progress::Ended;
            if progress != Progress::More {
                break;
            }
        }
        while !self.core.waiting().is_empty() {
            let (len, progress) = self.wire.write(self.core.waiting());
            self.core.sent(len);
            if progress != Progress::More {
                return goes_on && progress == Progress::Blocked;
            }
        }
        self.wire.flush();
        goes_on
    }

    /// The bare connection, for somebody who does not play by the rules from here on.
    pub fn into_wire(self) -> Wire {
        self.wire
    }

    /// Whether the core goes on.
    fn drain(&mut self, now: Now, events: &mut Vec<Event>) -> bool {
        let mut goes_on = true;
        while let Some(effect) = self.core.poll_output() {
            match effect {
                Effect::Show(event) => events.push(event),
                Effect::HangUp | Effect::Exit { .. } => goes_on = false,
                // These users never come back.
                Effect::Recall { .. } => self.core.handle_input(now, Input::Recalled(Seen::default())),
                Effect::Dial | Effect::Remember(_) | Effect::Peer(_) | Effect::Disk(_) => {}
            }
        }
        goes_on
    }
}
