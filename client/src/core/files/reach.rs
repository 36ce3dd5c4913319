//! Which users can be reached: links that are asked for, and those that failed a while ago.
//!
//! Owns the back-off. Must not know what a link is wanted for.

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::{Username, time::MonoMs};

use super::{FilesOutput, out::Out};

/// A link that is asked for either stands or has failed in this time: dialling, being dialled and the relay, one
/// after the other, take less.
const LINK_TIME_MAX: Duration = Duration::from_secs(60);
const BACK_OFF: Duration = Duration::from_secs(5);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// A user to whom no link stands.
#[derive(Debug)]
struct Way {
    /// Whether a link is asked for now.
    is_asked: bool,
    /// The end of the wait for it, or of the pause after a failure.
    until: MonoMs,
    failures: u32,
}

#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Bounded by the users that the server has named as holders.
    ways: BTreeMap<Username, Way>,
}

impl Reach {
    /// Asks for a link, unless one is asked for already.
    pub(super) fn ask(&mut self, user: &Username, out: &mut Out) {
        if self.is_asked(user) {
            return;
        }
        let failures = self.ways.get(user).map_or(0, |way| way.failures);
        let way = Way { is_asked: true, until: out.now.after(LINK_TIME_MAX), failures };
        self.ways.insert(user.clone(), way);
        out.push(FilesOutput::Link { user: user.clone() });
    }

    pub(super) fn is_asked(&self, user: &Username) -> bool {
        self.ways.get(user).is_some_and(|way| way.is_asked)
    }

    /// Whether it makes sense to ask for a link to him now.
    pub(super) fn may_ask(&self, user: &Username, now: MonoMs) -> bool {
        self.ways.get(user).is_none_or(|way| !way.is_asked && way.until <= now)
    }

    pub(super) fn opened(&mut self, user: &Username) {
        self.ways.remove(user);
    }

    pub(super) fn failed(&mut self, user: &Username, now: MonoMs) {
        let failures = self.ways.get(user).map_or(0, |way| way.failures);
        let pause = BACK_OFF.saturating_mul(1 << failures.min(8)).min(BACK_OFF_MAX);
        let way = Way { is_asked: false, until: now.after(pause), failures: failures.saturating_add(1) };
        self.ways.insert(user.clone(), way);
    }

    /// Gives up links that did not come in time; whether there were any.
    pub(super) fn handle_timeout(&mut self, now: MonoMs) -> bool {
        let is_late =
            |(user, way): (&Username, &Way)| (way.is_asked && way.until <= now).then(|| user.clone());
        let late: Vec<Username> = self.ways.iter().filter_map(is_late).collect();
        for user in &late {
            self.failed(user, now);
        }
        !late.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoMs> {
        self.ways.values().filter(|way| way.is_asked).map(|way| way.until).min()
    }
}
