//! What one client was given and what it showed: every command answered once, waiting messages first, presence
//! that adds up.
//!
//! Owns the count of commands. Must not know other clients.

use std::collections::BTreeSet;

use client::core::{Event, MessageState, Outcome};
use protocol::{ErrorCode, PresenceChange, Username};

/// A line that a client was given after its password.
#[derive(Debug)]
pub(crate) struct Typed {
    /// As the answer must name it.
    pub(crate) word: String,
    pub(crate) what: What,
    pub(crate) at_ms: u64,
    pub(crate) answered: bool,
}

/// What the line wants, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A message or a broadcast with that number.
    Letter(u64),
    /// With the step at which it was typed.
    Block(Username, u64),
    Unblock(Username),
    Logout,
    Other,
    /// Answered without the server.
    Local,
}

/// What an answer means for the rest of the world.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    Letter(u64, Result<Option<MessageState>, ErrorCode>, Option<protocol::MessageId>),
    Blocked(Username, u64),
    UnblockAnswered(Username),
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one client")]
pub(crate) struct Diary {
    pub(crate) typed: Vec<Typed>,
    pub(crate) online: bool,
    /// Something that is not a waiting message came after the log-in.
    busy: bool,
    disconnected: bool,
    /// The connection is being made again.
    away: bool,
    /// Who is online, from the first `whoelse` on.
    view: Option<BTreeSet<Username>>,
    /// The same from the latest `whoelse` on.
    fresh: Option<BTreeSet<Username>>,
    pub(crate) blocklist: Option<Vec<Username>>,
    pub(crate) interrupted: bool,
}

impl Diary {
    pub(crate) fn typed(&mut self, word: &str, what: What, at_ms: u64) {
        self.typed.push(Typed { word: word.to_owned(), what, at_ms, answered: false });
    }

    /// Takes in what the client shows; an error says what is wrong with it.
    pub(crate) fn shown(&mut self, event: &Event) -> Result<News, String> {
        if self.disconnected {
            return Err(format!("{} came after the end", name(event)));
        }
        let is_waiting = matches!(event, Event::Message { offline: true, .. });
        // In the place of one that waited.
        let is_doubt = matches!(event, Event::Doubt { .. });
        let is_login = matches!(event, Event::Login { .. });
        let may_come_first =
            matches!(event, Event::LoginFailed { .. } | Event::Notice { .. } | Event::Disconnected { .. });
        if !self.online && !is_login && !may_come_first {
            return Err(format!("{} came before the log-in", name(event)));
        }
        if is_waiting && self.busy {
            return Err("a message that waited came after something else".to_owned());
        }
        let mut local = false;
        let news = match event {
            Event::Login { .. } => {
                if std::mem::replace(&mut self.online, true) {
                    return Err("the log-in came twice".to_owned());
                }
                News::None
            }
            Event::Disconnected { .. } => {
                self.disconnected = true;
                News::None
            }
            Event::Presence { user, change } => {
                for view in [&mut self.view, &mut self.fresh].into_iter().flatten() {
                    if *change == PresenceChange::Login {
                        view.insert(user.clone());
                    } else {
                        view.remove(user);
                    }
                }
                News::None
            }
            Event::Ok { number, outcome } => {
                let what = self.answered(*number, outcome.command())?;
                local = what == What::Local;
                self.take_outcome(what, outcome)?
            }
            Event::Error { number, command, code, .. } => {
                let what = self.answered(*number, command)?;
                local = what == What::Local;
                match what {
                    What::Letter(token) => News::Letter(token, Err(*code), None),
                    What::Unblock(user) if *code != ErrorCode::NotConfirmed => News::UnblockAnswered(user),
                    _ => News::None,
                }
            }
            Event::LoginFailed { .. }
            | Event::Message { .. }
            | Event::Broadcast { .. }
            | Event::PrivateOpened { .. }
            | Event::Private { .. }
            | Event::PrivateClosed { .. }
            | Event::Progress { .. }
            | Event::Notice { .. }
            | Event::Doubt { .. } => News::None,
            Event::Reconnecting { .. } => {
                // As after a first log-in: what waits comes before all else, and who is there is not known.
                (self.away, self.busy, self.view, self.fresh) = (true, false, None, None);
                News::None
            }
            Event::Reconnected { .. } => {
                self.away = false;
                News::None
            }
        };
        self.busy |= self.online && !self.away && !is_waiting && !is_doubt && !is_login && !local;
        Ok(news)
    }

    /// Commands that have waited since before that time.
    pub(crate) fn is_overdue(&self, since_ms: u64) -> bool {
        self.online && self.typed.iter().any(|typed| !typed.answered && typed.at_ms < since_ms)
    }

    /// The client has left. Every command that it read was answered.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        if !self.online {
            return Ok(());
        }
        if !self.disconnected {
            return Err("it left without a word".to_owned());
        }
        let logout = self.typed.iter().position(|typed| typed.what == What::Logout && typed.answered);
        let read = match logout {
            // What stands behind a logout is not read.
            Some(at) => at + 1,
            // Neither is what had not been sent when the user wanted out.
            None if self.interrupted => {
                self.typed.iter().rposition(|typed| typed.answered).map_or(0, |at| at + 1)
            }
            None => self.typed.len(),
        };
        match self.typed.iter().take(read).position(|typed| !typed.answered) {
            Some(at) => Err(format!("command {} of {read} was never answered", at + 1)),
            None => Ok(()),
        }
    }

    /// At a quiet time, the presence events must add up to what the server says.
    pub(crate) fn check_presence(&self) -> Result<(), String> {
        match (&self.view, &self.fresh) {
            (Some(view), Some(fresh)) if view != fresh => {
                Err(format!("it believes that {view:?} are online, but {fresh:?} are"))
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self, number: u64, word: &str) -> Result<What, String> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let typed = index.and_then(|index| self.typed.get_mut(index));
        let typed = typed.ok_or_else(|| format!("command {number} was answered, but never given"))?;
        if std::mem::replace(&mut typed.answered, true) {
            return Err(format!("command {number} was answered twice"));
        }
        if typed.word != word {
            return Err(format!("command {number} is '{}', but was answered as '{word}'", typed.word));
        }
        Ok(typed.what.clone())
    }

    fn take_outcome(&mut self, what: What, outcome: &Outcome) -> Result<News, String> {
        match (what, outcome) {
            (What::Letter(token), Outcome::Message { id, state, .. }) => {
                return Ok(News::Letter(token, Ok(Some(*state)), Some(*id)));
            }
            (What::Letter(token), Outcome::Broadcast { .. }) => {
                return Ok(News::Letter(token, Ok(None), None));
            }
            (What::Block(user, step), Outcome::Block { .. }) => return Ok(News::Blocked(user, step)),
            (What::Unblock(user), _) => return Ok(News::UnblockAnswered(user)),
            (_, Outcome::WhoElse { users }) => {
                if !users.is_sorted() {
                    return Err(format!("{users:?} are not sorted"));
                }
                let users: BTreeSet<Username> = users.iter().cloned().collect();
                self.view.get_or_insert_with(|| users.clone());
                self.fresh = Some(users);
            }
            (_, Outcome::BlockList { users }) => self.blocklist = Some(users.clone()),
            _ => {}
        }
        Ok(News::None)
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Login { .. } => "a log-in",
        Event::LoginFailed { .. } => "a failed log-in",
        Event::Message { .. } => "a message",
        Event::Broadcast { .. } => "a broadcast",
        Event::Presence { .. } => "presence",
        Event::PrivateOpened { .. } | Event::Private { .. } | Event::PrivateClosed { .. } => "a private talk",
        Event::Progress { .. } => "progress",
        Event::Reconnecting { .. } | Event::Reconnected { .. } => "a lost connection",
        Event::Notice { .. } | Event::Doubt { .. } => "a notice",
        Event::Disconnected { .. } => "a disconnection",
        Event::Ok { .. } | Event::Error { .. } => "an answer",
    }
}
