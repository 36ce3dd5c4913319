//! What must be true of messages, blocks and names over the whole history.
//!
//! Owns what every sender was told and what every recipient saw. [`crate::diary`] checks a single client.

use std::collections::{BTreeMap, BTreeSet};

use client::core::MessageState;
use protocol::{ErrorCode, MessageId, Username};

use crate::{people::Person, store::Store};

#[derive(Debug, Default)]
pub(crate) struct Judge {
    failure: Option<String>,
    names: BTreeSet<Username>,
    letters: BTreeMap<u64, Letter>,
    last_token: u64,
    /// `(by, user)`: `by` was told that his block stands, and has not typed `unblock` since.
    blocks: BTreeSet<(Username, Username)>,
    /// `(by, user)`: when `by` last typed `unblock` or was answered, and how many of those have not been answered.
    unblocks: BTreeMap<(Username, Username), (u64, u64)>,
    pub(crate) shown_count: u64,
    pub(crate) confirmed_count: u64,
}

/// A direct message or a broadcast. Its number is in its text.
#[derive(Debug)]
struct Letter {
    from: Username,
    /// The client it was typed into.
    rig: u32,
    /// `None`: everyone.
    to: Option<Username>,
    text: String,
    id: Option<MessageId>,
    outcome: Option<Result<Option<MessageState>, ErrorCode>>,
    shown: u32,
    /// Who must not see it, having blocked its sender before it was typed.
    forbidden: BTreeSet<Username>,
    /// It waited while the store could not be read, and may come late.
    late: bool,
    /// The server died before its sender was answered. What it had refused, it may take when it is sent again, behind
    /// what was sent since; and what it had delivered, it may refuse.
    crossed_a_crash: bool,
}

/// What a client shows.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) id: MessageId,
    pub(crate) from: &'a Username,
    pub(crate) text: &'a str,
    pub(crate) is_broadcast: bool,
}

/// What one client of a user has shown, and what it knows of what others did before it.
#[derive(Debug)]
pub(crate) struct Memory {
    shown: BTreeSet<u64>,
    /// By the client that sent it: the last message.
    last_shown: BTreeMap<u32, u64>,
}

impl Memory {
    pub(crate) fn of(person: &Person) -> Self {
        Self { shown: person.shown.clone(), last_shown: person.last_shown.clone() }
    }

    /// It is told what others of that user have shown meanwhile.
    pub(crate) fn recall(&mut self, person: &Person) {
        self.shown.extend(&person.shown);
    }
}

impl Judge {
    pub(crate) fn new(people: &[Person]) -> Self {
        Self { names: people.iter().map(|person| person.name.clone()).collect(), ..Self::default() }
    }

    /// Only the first failure counts.
    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(crate) fn failure(&self) -> Option<&String> {
        self.failure.as_ref()
    }

    pub(crate) fn is_known(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The number and the text of a new message; `filler` stands behind the number.
    pub(crate) fn write(
        &mut self,
        (from, rig): (&Username, u32),
        to: Option<&Username>,
        filler: &str,
    ) -> (u64, String) {
        self.last_token += 1;
        let text = format!("#{} {filler}", self.last_token).trim().to_owned();
        let has_blocked = |(by, user): &(Username, Username)| (user == from).then(|| by.clone());
        let letter = Letter {
            from: from.clone(),
            rig,
            to: to.cloned(),
            text: text.clone(),
            id: None,
            outcome: None,
            shown: 0,
            forbidden: self.blocks.iter().filter_map(has_blocked).collect(),
            late: false,
            crossed_a_crash: false,
        };
        self.letters.insert(self.last_token, letter);
        (self.last_token, text)
    }

    /// A block that was typed at `typed_step` stands.
    pub(crate) fn blocked(&mut self, by: &Username, user: &Username, typed_step: u64) {
        let pair = (by.clone(), user.clone());
        // With an `unblock` on its way from anywhere, nobody knows what is in force.
        if self.unblocks.get(&pair).is_none_or(|&(last_step, open)| open == 0 && last_step < typed_step) {
            self.blocks.insert(pair);
        }
    }

    /// `by` wants to undo a block: what is on its way may be let through.
    pub(crate) fn unblocking(&mut self, by: &Username, user: &Username, step: u64) {
        let pair = (by.clone(), user.clone());
        self.blocks.remove(&pair);
        let (last_step, open) = self.unblocks.entry(pair).or_default();
        (*last_step, *open) = (step, *open + 1);
        let is_open = |outcome| matches!(outcome, None | Some(Err(ErrorCode::NotConfirmed)));
        for letter in self.letters.values_mut().filter(|l| l.from == *user && is_open(l.outcome)) {
            letter.forbidden.remove(by);
        }
    }

    pub(crate) fn unblock_answered(&mut self, by: &Username, user: &Username, step: u64) {
        if let Some((last_step, open)) = self.unblocks.get_mut(&(by.clone(), user.clone())) {
            // Another client of his, cut off for a while, may have sent it long after it was typed.
            (*last_step, *open) = (step, open.saturating_sub(1));
        }
    }

    /// The command of a message has ended. `id`: as the sender was told.
    pub(crate) fn ended(
        &mut self,
        token: u64,
        outcome: Result<Option<MessageState>, ErrorCode>,
        id: Option<MessageId>,
    ) {
        let Some(letter) = self.letters.get_mut(&token) else { return };
        let (shown, known_id) = (letter.shown, letter.id);
        letter.outcome = Some(outcome);
        letter.id = letter.id.or(id);
        self.confirmed_count += u64::from(matches!(outcome, Ok(Some(_))));
        if id.is_some() && known_id.is_some() && id != known_id {
            self.fail(format!("message #{token} changed its id"));
        }
        if outcome == Ok(Some(MessageState::Delivered)) && shown == 0 {
            self.fail(format!("message #{token} is said to be delivered, and nobody has shown it"));
        }
        if outcome == Err(ErrorCode::IdReused) {
            self.fail(format!("message #{token} is new, and was taken for another"));
        }
        self.check_refused(token);
    }

    /// Something was shown to a person by the client with that memory.
    pub(crate) fn shown(&mut self, person: &mut Person, memory: &mut Memory, shown: &Shown<'_>) {
        if !self.names.contains(shown.from) {
            // From a hostile program: whatever it says.
            return;
        }
        let token = shown.text.strip_prefix('#').and_then(|t| t.split(' ').next()?.parse::<u64>().ok());
        let found = token.and_then(|token| Some((token, self.letters.get_mut(&token)?)));
        let Some((token, letter)) = found else {
            return self.fail(format!("{} was shown what nobody wrote", person.name));
        };
        letter.shown += 1;
        self.shown_count += 1;
        let wrong = if letter.from != *shown.from || letter.text != shown.text {
            Some("was altered")
        } else if letter.id.is_some_and(|id| id != shown.id) {
            Some("came with another id")
        } else if letter.to.is_none() != shown.is_broadcast
            || letter.to.as_ref().is_some_and(|to| *to != person.name)
        {
            Some("went astray")
        } else if letter.forbidden.contains(&person.name) {
            Some("came through a block")
        } else if !memory.shown.insert(token) {
            Some("was shown twice")
        } else {
            None
        };
        letter.id = Some(shown.id);
        person.shown.insert(token);
        if let Some(wrong) = wrong {
            return self.fail(format!("message #{token} {wrong}, to {}", person.name));
        }
        if !shown.is_broadcast && !letter.late && !letter.crossed_a_crash {
            // Of one client: another one of the same user may write while the first is cut off and comes back.
            let last = memory.last_shown.insert(letter.rig, token);
            let overall = person.last_shown.entry(letter.rig).or_default();
            *overall = token.max(*overall);
            if let Some(before) = last.filter(|&last| last > token) {
                let (from, to) = (shown.from, &person.name);
                return self.fail(format!("message #{token} of {from} came to {to} behind #{before}"));
            }
        }
        self.check_refused(token);
    }

    /// The store could not be read at a log-in: what waits comes at a later one, out of its order.
    pub(crate) fn load_failed(&mut self, user: &Username) {
        for letter in self.letters.values_mut().filter(|l| l.to.as_ref() == Some(user) && l.shown == 0) {
            letter.late = true;
        }
    }

    /// The server has died.
    pub(crate) fn crashed(&mut self) {
        for letter in self.letters.values_mut().filter(|letter| letter.outcome.is_none()) {
            letter.crossed_a_crash = true;
        }
    }

    /// A message that was confirmed to its sender and never shown. It may still wait in `store`, if given.
    pub(crate) fn find_lost(&self, store: Option<&Store>) -> Option<u64> {
        let is_lost = |letter: &Letter| {
            let waits =
                store.zip(letter.to.as_ref()).is_some_and(|(store, to)| store.holds(to, &letter.text));
            matches!(letter.outcome, Some(Ok(Some(_)))) && letter.shown == 0 && !waits
        };
        self.letters.iter().find_map(|(&token, letter)| is_lost(letter).then_some(token))
    }

    /// To be called when everything has settled.
    pub(crate) fn check_confirmed(&mut self, store: Option<&Store>) {
        let lost = self.find_lost(store).and_then(|token| Some((token, self.letters.get(&token)?)));
        if let Some((token, Letter { from, to, outcome, .. })) = lost {
            let what =
                format!("message #{token} of {from} to {to:?} was confirmed ({outcome:?}) and is lost");
            self.fail(what);
        }
    }

    /// What was refused for good is shown to nobody.
    fn check_refused(&mut self, token: u64) {
        let is_judged = |letter: &&Letter| letter.shown > 0 && !letter.crossed_a_crash;
        let Some(letter) = self.letters.get(&token).filter(is_judged) else { return };
        match letter.outcome {
            None | Some(Ok(_) | Err(ErrorCode::NotConfirmed | ErrorCode::StoreFailed)) => {}
            Some(Err(code)) => {
                self.fail(format!("message #{token} was refused ({code:?}) and shown"));
            }
        }
    }
}
