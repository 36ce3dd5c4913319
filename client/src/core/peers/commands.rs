//! The commands of private talk, and what the other side does to a talk.
//!
//! Owns the answers to `startprivate`, `private`, `stopprivate`, `again` and `trust`. Must not know how a link
//! comes to be.

use protocol::{ErrorCode, PeerFrame, ProtocolError, Purpose, Username, limits::TEXT_LEN_MAX, time::MonoMs};

use super::{Ask, LinkId, Output, PeerEffect, Peers, State, Talk, Way, safety, talk::UNHEARD_MAX};
use crate::core::event::{Event, Outcome, PrivateEnd};

/// A talk that is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The commands that asked for it, with their words.
    numbers: Vec<(u64, &'static str)>,
    /// What was typed for it meanwhile.
    later: Vec<Later>,
}

/// A command that waits for those before it.
#[derive(Debug)]
pub(super) enum Later {
    Start { number: u64, word: &'static str },
    Say { number: u64, text: String },
    Stop { number: u64 },
}

const SAY: &str = "private";
const STOP: &str = "stopprivate";

impl Peers {
    /// Whether a command of this part has not ended yet.
    pub(in crate::core) fn is_busy(&self) -> bool {
        !self.opening.is_empty() || self.talks.values().any(|talk| !talk.is_quiet())
    }

    /// Whether more may be typed: who says more than the other side confirms is slowed.
    pub(in crate::core) fn has_room(&self) -> bool {
        self.talks.values().all(Talk::has_room)
            && self.opening.values().all(|opening| opening.later.len() < UNHEARD_MAX)
    }

    pub(in crate::core) fn start_private(&mut self, number: u64, word: &'static str, user: Username) {
        if self.is_me(number, word, &user) {
            return;
        }
        if let Some(later) = self.stopping(&user) {
            return later.push(Later::Start { number, word });
        }
        if self.talks.contains_key(&user) {
            let text = "There is a private connection with that user already; 'private' uses it.";
            return self.error(number, word, ErrorCode::PrivateExists, text);
        }
        let opening = self.opening.entry(user.clone()).or_default();
        if opening.later.iter().any(|later| matches!(later, Later::Stop { .. })) {
            return opening.later.push(Later::Start { number, word });
        }
        opening.numbers.push((number, word));
        if opening.numbers.len() == 1 {
            self.outputs.push_back(Output::Ask(Ask::Invite { user, purpose: Purpose::Talk }));
        }
    }

    /// Opens the talk that was lost last.
    pub(in crate::core) fn again(&mut self, number: u64) {
        if let Some(user) = self.lost.clone() {
            return self.start_private(number, "again", user);
        }
        let text = "No private connection was lost. 'startprivate <user>' opens one.";
        self.error(number, "again", ErrorCode::NoPrivate, text);
    }

    pub(in crate::core) fn private(&mut self, number: u64, user: Username, text: String, now: MonoMs) {
        if self.is_me(number, SAY, &user) {
            return;
        }
        if let Some(opening) = self.opening.get_mut(&user) {
            return opening.later.push(Later::Say { number, text });
        }
        if let Some(later) = self.stopping(&user) {
            return later.push(Later::Say { number, text });
        }
        let Some(talk) = self.talks.get_mut(&user) else {
            return self.outputs.push_back(Output::Ask(Ask::Lookup { user, number, command: SAY }));
        };
        if text.is_empty() {
            let text = "There is no text to send. Write something behind the name.";
            return self.error(number, SAY, ErrorCode::EmptyMessage, text);
        }
        let said = talk.say(number, text.clone(), now);
        if let Some(link) = self.links.get_mut(&talk.link) {
            link.send(&PeerFrame::Private { number: said, text: &text });
        }
    }

    /// The talk ends when what was said before is confirmed.
    pub(in crate::core) fn stop_private(&mut self, number: u64, user: Username, now: MonoMs) {
        if self.is_me(number, STOP, &user) {
            return;
        }
        if let Some(opening) = self.opening.get_mut(&user) {
            return opening.later.push(Later::Stop { number });
        }
        let Some(talk) = self.talks.get_mut(&user) else {
            return self.outputs.push_back(Output::Ask(Ask::Lookup { user, number, command: STOP }));
        };
        talk.later.push(Later::Stop { number });
        if talk.is_quiet() {
            self.hang_up(&user, now);
        }
    }

    pub(in crate::core) fn trust(&mut self, number: u64, user: Username) {
        if self.is_me(number, "trust", &user) {
            return;
        }
        let key = self.known.trust(&user);
        self.outputs.push_back(Output::Effect(PeerEffect::Remember { user: user.clone(), key }));
        self.ok(number, Outcome::Trust { user });
    }

    /// The server refuses what was asked.
    pub(in crate::core) fn refused(&mut self, ask: Ask, code: ErrorCode, text: &str, now: MonoMs) {
        match ask {
            Ask::Invite { user, purpose } => self.failed(&user, purpose, code, text, now),
            Ask::Lookup { number, command, .. } => self.error(number, command, code, text),
        }
    }

    /// That user is there, but there is no talk with him.
    pub(in crate::core) fn looked_up(&mut self, number: u64, command: &'static str, user: &Username) {
        let text = format!("There is no private connection with {user}. 'startprivate {user}' opens one.");
        self.error(number, command, ErrorCode::NoPrivate, &text);
    }

    /// The event with the oldest message of that user that was not confirmed yet was shown.
    pub(in crate::core) fn shown(&mut self, user: &Username) {
        let Some(talk) = self.talks.get_mut(user) else { return };
        let number = talk.shown();
        if let Some(link) = self.links.get_mut(&talk.link) {
            link.send(&PeerFrame::Heard { number });
        }
    }

    /// The session is over: the commands that will not be answered.
    pub(in crate::core) fn abandon(&mut self) -> Vec<(u64, &'static str)> {
        let mut left = Vec::new();
        for (_, opening) in std::mem::take(&mut self.opening) {
            left.extend(opening.numbers);
            left.extend(opening.later.iter().map(Later::command));
        }
        for (_, talk) in std::mem::take(&mut self.talks) {
            left.extend(talk.later.iter().map(Later::command));
            left.extend(talk.unheard().map(|number| (number, SAY)));
        }
        left.sort_unstable();
        left
    }

    /// A link serves talk: whoever wanted it, the talk stands.
    pub(super) fn talk_opened(&mut self, id: LinkId, user: &Username, now: MonoMs) {
        let Some((me, link)) = self.me.clone().zip(self.links.get(&id)) else { return };
        let Some(key) = link.key else { return };
        let safety = safety::number((&me, self.key), (user, key));
        if !self.talks.contains_key(user) {
            let relayed = link.way() == Way::Relayed;
            self.talks.insert(user.clone(), Talk::new(id));
            self.show(Event::PrivateOpened { user: user.clone(), safety: safety.clone(), relayed });
        }
        if self.lost.as_ref() == Some(user) {
            self.lost = None;
        }
        let Some(opening) = self.opening.remove(user) else { return };
        for (number, word) in opening.numbers {
            let outcome = Outcome::StartPrivate { word, user: user.clone(), safety: safety.clone() };
            self.ok(number, outcome);
        }
        self.do_later(user, opening.later, now);
    }

    /// The talk that was to be opened will not be.
    pub(super) fn talk_refused(&mut self, user: &Username, code: ErrorCode, text: &str, now: MonoMs) {
        let Some(opening) = self.opening.remove(user) else { return };
        for (number, word) in opening.numbers {
            self.error(number, word, code, text);
        }
        self.do_later(user, opening.later, now);
    }

    pub(super) fn private_came(&mut self, id: LinkId, number: u64, text: &str) -> Result<(), ProtocolError> {
        if text.len() > TEXT_LEN_MAX {
            return Err(ProtocolError::Payload { tag: "private" });
        }
        let Some(link) = self.links.get(&id).filter(|link| link.talks) else { return Ok(()) };
        let Some(from) = link.user.clone() else { return Ok(()) };
        // After a hang-up, what was on its way comes to nothing: its sender is told that it may not have arrived.
        let Some(talk) = self.talks.get_mut(&from) else { return Ok(()) };
        if talk.take(number) {
            self.show(Event::Private { from, text: text.to_owned() });
        }
        Ok(())
    }

    pub(super) fn private_heard(&mut self, id: LinkId, number: u64, now: MonoMs) {
        let Some(user) = self.links.get(&id).and_then(|link| link.user.clone()) else { return };
        let Some(talk) = self.talks.get_mut(&user) else { return };
        let is_over = |talk: &Talk| talk.is_quiet() && !talk.later.is_empty();
        for command in talk.heard(number, now) {
            self.ok(command, Outcome::Private { to: user.clone() });
        }
        if self.talks.get(&user).is_some_and(is_over) {
            self.hang_up(&user, now);
        }
    }

    pub(super) fn hung_up(&mut self, id: LinkId, now: MonoMs) {
        let Some(user) = self.links.get(&id).and_then(|link| link.user.clone()) else { return };
        self.close_talk(&user, PrivateEnd::Stopped, now);
    }

    /// A link that may have served a talk is gone: the talk goes on over another, or ends.
    pub(super) fn talk_link_gone(&mut self, id: LinkId, user: &Username, end: PrivateEnd, now: MonoMs) {
        let other = self.link_with(user, |link| link.talks);
        let Some(talk) = self.talks.get_mut(user).filter(|talk| talk.link == id) else { return };
        if let Some((other, link)) = other.and_then(|other| Some((other, self.links.get_mut(&other)?))) {
            talk.moves_to(other, now);
            return talk.again().for_each(|frame| link.send(&frame));
        }
        if end == PrivateEnd::Lost {
            self.lost = Some(user.clone());
        }
        self.close_talk(user, end, now);
    }

    pub(super) fn close_talk(&mut self, user: &Username, reason: PrivateEnd, now: MonoMs) {
        let Some(mut talk) = self.talks.remove(user) else { return };
        let mut later = std::mem::take(&mut talk.later).into_iter();
        for link in self.links.values_mut().filter(|link| link.user.as_ref() == Some(user)) {
            link.talks = false;
        }
        for number in talk.unheard() {
            let text = "The private connection ended before the other side confirmed it: it may or may not have arrived.";
            self.error(number, SAY, ErrorCode::NotConfirmed, text);
        }
        self.show(Event::PrivateClosed { user: user.clone(), reason });
        // However it ended: this is what the command wanted.
        if let Some(first) = later.next() {
            self.ok(first.command().0, Outcome::StopPrivate { user: user.clone() });
        }
        self.do_later(user, later, now);
    }

    fn hang_up(&mut self, user: &Username, now: MonoMs) {
        self.say_to_all_links(user, &PeerFrame::HangUp);
        self.close_talk(user, PrivateEnd::Stopped, now);
    }

    /// What waits for the end of a talk, if one is about to end.
    fn stopping(&mut self, user: &Username) -> Option<&mut Vec<Later>> {
        self.talks.get_mut(user).map(|talk| &mut talk.later).filter(|later| !later.is_empty())
    }

    fn do_later(&mut self, user: &Username, later: impl IntoIterator<Item = Later>, now: MonoMs) {
        for command in later {
            match command {
                Later::Start { number, word } => self.start_private(number, word, user.clone()),
                Later::Say { number, text } => self.private(number, user.clone(), text, now),
                Later::Stop { number } => self.stop_private(number, user.clone(), now),
            }
        }
    }

    fn say_to_all_links(&mut self, user: &Username, frame: &PeerFrame<'_>) {
        let fits = |link: &&mut super::PeerLink| {
            link.talks && link.state == State::Met && link.user.as_ref() == Some(user)
        };
        self.links.values_mut().filter(fits).for_each(|link| link.send(frame));
    }

    fn is_me(&mut self, number: u64, word: &'static str, user: &Username) -> bool {
        let is_me = self.me.as_ref() == Some(user);
        if is_me {
            self.error(number, word, ErrorCode::Myself, "That is you. Name somebody else.");
        }
        is_me
    }

    fn ok(&mut self, number: u64, outcome: Outcome) {
        self.show(Event::Ok { number, outcome });
    }

    fn error(&mut self, number: u64, command: &str, code: ErrorCode, text: &str) {
        self.show(Event::Error { number, command: command.to_owned(), code, text: text.to_owned() });
    }

    fn show(&mut self, event: Event) {
        self.outputs.push_back(Output::Show(event));
    }
}

impl Later {
    /// Its number and word.
    fn command(&self) -> (u64, &'static str) {
        match *self {
            Self::Start { number, word } => (number, word),
            Self::Say { number, .. } => (number, SAY),
            Self::Stop { number } => (number, STOP),
        }
    }
}
