//! Many users on one thread and one poll, who do as they are told.

use std::{io, time::Duration};

use client::core::Event;
use mio::{Events, Poll, Token};

use crate::{chat::Chat, clock::Clock, wire::Route};

/// Lines given to a core at a time.
const AHEAD: usize = 32;

/// Users who are logged in, on one poll.
#[derive(Debug)]
pub struct Room {
    poll: Poll,
    clock: Clock,
    chats: Vec<Chat>,
    buffer: Vec<u8>,
    /// Those who were given a line since the last turn.
    pending: Vec<usize>,
}

impl Room {
    /// Logs all of them in.
    pub fn enter(route: &Route, users: &[String]) -> io::Result<Self> {
        let (poll, clock) = (Poll::new()?, Clock::start());
        let mut room =
            Self { poll, clock, chats: Vec::new(), buffer: vec![0; 64 * 1024], pending: Vec::new() };
        for (index, user) in users.iter().enumerate() {
            let chat = Chat::dial(route, user, room.poll.registry(), Token(index), room.clock.read())?;
            room.chats.push(chat);
            let mut is_in = false;
            while !is_in {
                let events = room.turn()?;
                is_in = events.iter().any(|(at, event)| *at == index && matches!(event, Event::Login { .. }));
            }
        }
        Ok(room)
    }

    /// Whether this one takes another line.
    pub fn wants_input(&self, index: usize) -> bool {
        let ahead = self.pending.iter().filter(|&&pending| pending == index).count();
        ahead < AHEAD && self.chats.get(index).is_some_and(Chat::wants_input)
    }

    /// Gives this one a line, as if typed.
    pub fn say(&mut self, index: usize, line: &str) {
        if let Some(chat) = self.chats.get_mut(index) {
            chat.say(self.clock.read(), line.to_owned());
            self.pending.push(index);
        }
    }

    /// What happened, and to whom.
    pub fn turn(&mut self) -> io::Result<Vec<(usize, Event)>> {
        self.turn_within(Duration::from_millis(100))
    }

    /// The same, waiting no longer than that.
    pub fn turn_within(&mut self, patience: Duration) -> io::Result<Vec<(usize, Event)>> {
        let mut events = Events::with_capacity(256);
        let patience = if self.pending.is_empty() { patience } else { Duration::ZERO };
        self.poll.poll(&mut events, Some(patience))?;
        let mut called: Vec<usize> = std::mem::take(&mut self.pending);
        called.extend(events.iter().map(|event| event.token().0));
        called.dedup();
        let mut happened = Vec::new();
        for index in called {
            let Some(chat) = self.chats.get_mut(index) else { continue };
            let mut shown = Vec::new();
            if !chat.turn(self.clock.read(), &mut self.buffer, &mut shown) {
                return Err(io::Error::other("a user lost his connection"));
            }
            happened.extend(shown.into_iter().map(|event| (index, event)));
        }
        Ok(happened)
    }
}
