//! The kinds of attackers.

mod deaf;
mod dripper;
mod flooder;
mod garbage;
mod resetter;
mod silent;

pub use deaf::Deaf;
pub use dripper::Dripper;
pub use flooder::Flooder;
pub use garbage::Garbage;
pub use resetter::Resetter;
pub use silent::Silent;

use std::io;

use client::core::Event;

use crate::{chat::Chat, swarm::Tools, wire::Wire};

/// Frames made in one go.
const BATCH: usize = 64;
/// Batches written in one go, so that the swarm's other members get their turn.
const ROUNDS_MAX: usize = 4;

/// A user who logs in like any other, and only then shows what he is.
#[derive(Debug)]
enum Intruder {
    LoggingIn(Box<Chat>),
    Inside(Wire),
    Out,
}

impl Intruder {
    fn dial(user: &str, tools: &Tools<'_>) -> io::Result<Self> {
        let chat = Chat::dial(tools.route, user, tools.registry, tools.token, tools.clock.read())?;
        Ok(Self::LoggingIn(Box::new(chat)))
    }

    /// The connection once he is logged in; whether he still has one.
    fn wire(&mut self, tools: &mut Tools<'_>) -> Result<Option<&mut Wire>, Over> {
        if let Self::LoggingIn(chat) = self {
            let mut events = Vec::new();
            let goes_on = chat.turn(tools.clock.read(), tools.buffer, &mut events);
            if events.iter().any(|event| matches!(event, Event::Login { .. })) {
                tools.count("intruders logged in", 1);
                let Self::LoggingIn(chat) = std::mem::replace(self, Self::Out) else { return Err(Over) };
                *self = Self::Inside(chat.into_wire().ok_or(Over)?);
            } else if !goes_on {
                tools.count("intruders refused", 1);
                return Err(Over);
            }
        }
        match self {
            Self::LoggingIn(_) => Ok(None),
            Self::Inside(wire) => Ok(Some(wire)),
            Self::Out => Err(Over),
        }
    }
}

/// There is no connection any more.
#[derive(Debug)]
struct Over;
