//! Who has an account, with which password, and how often a wrong one was tried.
//!
//! Owns the counts and the locks, and when keys are derived. A name without an account is counted and locked
//! like one with an account, and shown a decoy of the same kind.
//!
//! A decoy's keys are there at once. So that answers for real names come as fast, the keys of plain passwords
//! are derived ahead, from the start on, one at a time: then a log-in that cannot wait for its turn has one
//! derivation before it at most, and names without an account cause none.

use core::{fmt, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use protocol::{
    Username,
    scram::{Iterations, Verifier},
    time::{MonoMs, Now, UnixMs},
};

use super::{
    decoy::{Decoys, Shape},
    durable::{Tried, TriesRecord},
    effect::{ConnId, Effect, StoreOperation},
    ledger::Ledger,
};

/// Wrong passwords in a row that lock an account.
const WRONG_PASSWORDS_MAX: u32 = 3;

/// What an account's line in the credentials file holds.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The password as it is typed.
    Plain(Password),
    /// What can check a password but not say it.
    Verifier(Verifier),
}

impl Credential {
    fn shape(&self) -> Shape {
        match self {
            Self::Plain(_) => Shape::PLAIN,
            Self::Verifier(verifier) => Shape::of(verifier),
        }
    }

    /// Whether both lines of a file say the same.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (Self::Verifier(a), Self::Verifier(b)) => a.to_string() == b.to_string(),
            _ => false,
        }
    }
}

/// A password. It shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<str>);

impl Password {
    /// Wraps what was read.
    pub fn new(password: &str) -> Self {
        Self(password.into())
    }

    /// For key derivation, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What `server-first` tells a client.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: Iterations,
}

/// What the check of a proof needs.
#[derive(Debug)]
pub(super) enum Keys {
    Known(Verifier),
    /// They are on their way, and this connection is told when they are there.
    Coming,
    /// This connection is the first to need them: they come once this is carried out.
    Missing(Effect),
}

/// What a new list changes for others.
#[derive(Debug)]
pub(super) struct Replaced {
    /// Whose accounts are gone.
    pub(super) gone: Vec<Username>,
    /// Who waited for the keys of one of those.
    pub(super) waiting: Vec<ConnId>,
}

#[derive(Debug)]
struct Account {
    credential: Credential,
    /// The keys of a plain password, once they are derived.
    derived: Option<Verifier>,
    /// The derivation under way.
    job: Option<u64>,
    /// Connections that wait for `derived`.
    waiting: Vec<ConnId>,
    tries: Tries,
}

impl Account {
    fn new(credential: Credential) -> Self {
        Self { credential, derived: None, job: None, waiting: Vec::new(), tries: Tries::default() }
    }

    fn keys(&self) -> Option<&Verifier> {
        match &self.credential {
            Credential::Verifier(verifier) => Some(verifier),
            Credential::Plain(_) => self.derived.as_ref(),
        }
    }
}

#[derive(Debug, Default)]
struct Tries {
    wrong_in_a_row: u32,
    locked_until: Option<MonoMs>,
}

impl Tries {
    /// As a process before this one left them. A lock is over when the wall clock says so, but takes no longer than
    /// a new one would: that clock may have been set meanwhile.
    fn recover(record: TriesRecord, lock_out: Duration, now: Now) -> Self {
        let left = |until: UnixMs| Duration::from_millis(until.0.saturating_sub(now.wall.0)).min(lock_out);
        let locked_until = record.locked_until.map(|until| now.mono.after(left(until)));
        Self { wrong_in_a_row: record.wrong_in_a_row, locked_until }
    }

    /// For the store.
    fn record(&self, now: Now) -> TriesRecord {
        let on_wall = |until: MonoMs| UnixMs(MonoMs(now.wall.0).after(until.since(now.mono)).0);
        let locked_until = self.locked_until.filter(|&until| now.mono < until).map(on_wall);
        TriesRecord { wrong_in_a_row: self.wrong_in_a_row, locked_until }
    }
}

/// A name without an account, in fixed space.
type Ghost = [u8; 32];

pub(super) struct Accounts {
    known: BTreeMap<Username, Account>,
    /// Names without an account that were tried with a wrong password.
    ghosts: BTreeMap<Ghost, Tries>,
    /// Ghosts by age.
    ghost_order: VecDeque<Ghost>,
    ghosts_max: usize,
    lock_out: Option<Duration>,
    decoys: Decoys,
    last_job: u64,
    /// Whose keys may still have to be derived ahead.
    to_derive: VecDeque<Username>,
    /// The derivation ahead that is under way.
    ahead: Option<u64>,
}

/// Passwords and keys stay out of every log.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts, {} ghosts", self.known.len(), self.ghosts.len())
    }
}

impl Accounts {
    pub(super) fn new(
        credentials: BTreeMap<Username, Credential>,
        lock_out: Option<Duration>,
        ghosts_max: usize,
        secret: &[u8; 32],
    ) -> Self {
        let mut accounts = Self {
            known: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            ghost_order: VecDeque::new(),
            ghosts_max,
            lock_out,
            decoys: Decoys::new(secret),
            last_job: 0,
            to_derive: VecDeque::new(),
            ahead: None,
        };
        accounts.replace(credentials);
        accounts
    }

    /// Goes on with the counts and locks of the process before.
    pub(super) fn recover(&mut self, tries: Vec<(Tried, TriesRecord)>, ledger: &mut Ledger, now: Now) {
        let Some(lock_out) = self.lock_out else { return };
        for (who, record) in tries {
            let tries = Tries::recover(record, lock_out, now);
            if tries.record(now) != record {
                // Over, or cut short: the next process must not begin it anew.
                ledger.note(StoreOperation::Tries { who: who.clone(), record: tries.record(now) });
            }
            match &who {
                Tried::Account(user) => match self.known.get_mut(user) {
                    Some(account) => account.tries = tries,
                    None => ledger.note(forget(who)),
                },
                Tried::Ghost(ghost) => {
                    self.make_room_for_ghost(ledger);
                    self.ghost_order.push_back(*ghost);
                    self.ghosts.insert(*ghost, tries);
                }
            }
        }
    }

    /// The wall clock was set, or the monotonic one went on alone: the ends of locks are written down anew, as the
    /// wall clock shows them now, and those that are over are forgotten.
    pub(super) fn note_locks(&mut self, ledger: &mut Ledger, now: Now) {
        let known =
            self.known.iter_mut().map(|(user, account)| (Tried::Account(user.clone()), &mut account.tries));
        let ghosts = self.ghosts.iter_mut().map(|(&ghost, tries)| (Tried::Ghost(ghost), tries));
        for (who, tries) in known.chain(ghosts).filter(|(_, tries)| tries.locked_until.is_some()) {
            tries.locked_until = tries.locked_until.filter(|&until| now.mono < until);
            ledger.note(StoreOperation::Tries { who, record: tries.record(now) });
        }
    }

    /// Takes over a new list; counts and locks of those who stay are kept.
    pub(super) fn replace(&mut self, credentials: BTreeMap<Username, Credential>) -> Replaced {
        self.decoys.resemble(credentials.values().map(Credential::shape));
        let mut old = std::mem::take(&mut self.known);
        for (user, credential) in credentials {
            let mut account = old.remove(&user).unwrap_or_else(|| Account::new(credential.clone()));
            if !account.credential.is_same(&credential) {
                account.credential = credential;
                account.derived = None;
                // Keys that are still on their way belong to the old password.
                account.job = None;
            }
            self.known.insert(user, account);
        }
        let missing = self.known.iter().filter(|(_, account)| account.keys().is_none());
        self.to_derive = missing.map(|(user, _)| user.clone()).collect();
        let waiting = old.values_mut().flat_map(|account| std::mem::take(&mut account.waiting)).collect();
        Replaced { gone: old.into_keys().collect(), waiting }
    }

    pub(super) fn exists(&self, user: &Username) -> bool {
        self.known.contains_key(user)
    }

    pub(super) fn parameters(&self, name: &str) -> Parameters {
        // Made for real names too, so that it takes the same time.
        let decoy = self.decoys.verifier(name);
        match self.known.get(name).map(|account| &account.credential) {
            Some(Credential::Verifier(verifier)) => {
                Parameters { salt: verifier.salt.clone(), iterations: verifier.iterations }
            }
            Some(Credential::Plain(_)) => {
                Parameters { salt: self.decoys.salt(name), iterations: Iterations::DEFAULT }
            }
            None => Parameters { salt: decoy.salt, iterations: decoy.iterations },
        }
    }

    /// The keys for a proof of `conn`, or the promise of them.
    pub(super) fn keys(&mut self, name: &str, conn: ConnId) -> Keys {
        let decoy = self.decoys.verifier(name);
        let Some(account) = self.known.get_mut(name) else { return Keys::Known(decoy) };
        if let Some(keys) = account.keys() {
            return Keys::Known(keys.clone());
        }
        account.waiting.push(conn);
        self.derive(name).map_or(Keys::Coming, Keys::Missing)
    }

    /// The next derivation ahead. `None` if there is nothing to do, or one is under way.
    pub(super) fn derive_ahead(&mut self) -> Option<Effect> {
        while self.ahead.is_none() {
            let user = self.to_derive.pop_front()?;
            if let Some(effect) = self.derive(user.as_str()) {
                self.ahead = Some(self.last_job);
                return Some(effect);
            }
        }
        None
    }

    /// Keys are there. Returns who must ask for them again.
    pub(super) fn derived(&mut self, name: &str, job: u64, verifier: Verifier) -> Vec<ConnId> {
        self.ahead = self.ahead.filter(|&ahead| ahead != job);
        let Some(account) = self.known.get_mut(name) else { return Vec::new() };
        if account.job == Some(job) {
            account.job = None;
            account.derived = Some(verifier);
        }
        if account.job.is_none() { std::mem::take(&mut account.waiting) } else { Vec::new() }
    }

    /// How much longer the account is locked.
    pub(super) fn locked_for(&self, name: &str, now: MonoMs) -> Option<Duration> {
        let ghost = self.decoys.tag(name);
        let tries = match self.known.get(name) {
            Some(account) => &account.tries,
            None => self.ghosts.get(&ghost)?,
        };
        tries.locked_until.filter(|&until| now < until).map(|until| until.since(now))
    }

    /// A wrong password. Returns how long the account is locked now, if it is.
    pub(super) fn wrong(&mut self, name: &str, ledger: &mut Ledger, now: Now) -> Option<Duration> {
        let lock_out = self.lock_out?;
        let (who, tries) = self.tries(name, ledger);
        tries.wrong_in_a_row += 1;
        let is_locked = tries.wrong_in_a_row >= WRONG_PASSWORDS_MAX;
        if is_locked {
            *tries = Tries { wrong_in_a_row: 0, locked_until: Some(now.mono.after(lock_out)) };
        }
        ledger.note(StoreOperation::Tries { who, record: tries.record(now) });
        is_locked.then_some(lock_out)
    }

    /// A right password: whose it was. `None` for a decoy, whose password nobody knows.
    pub(super) fn right(&mut self, name: &str, ledger: &mut Ledger) -> Option<Username> {
        let user = self.known.get_key_value(name)?.0.clone();
        let tries = &mut self.known.get_mut(name)?.tries;
        // A lock that is over need not be remembered either.
        if tries.wrong_in_a_row > 0 || tries.locked_until.take().is_some() {
            tries.wrong_in_a_row = 0;
            ledger.note(forget(Tried::Account(user.clone())));
        }
        Some(user)
    }

    /// Begins a derivation, unless the keys are there or on their way.
    fn derive(&mut self, name: &str) -> Option<Effect> {
        let salt = self.decoys.salt(name);
        let account = self.known.get_mut(name)?;
        let (Credential::Plain(password), None, None) = (&account.credential, &account.derived, account.job)
        else {
            return None;
        };
        self.last_job += 1;
        account.job = Some(self.last_job);
        Some(Effect::Derive {
            name: name.into(),
            job: self.last_job,
            password: password.clone(),
            salt,
            iterations: Iterations::DEFAULT,
        })
    }

    fn tries(&mut self, name: &str, ledger: &mut Ledger) -> (Tried, &mut Tries) {
        let ghost = self.decoys.tag(name);
        let user = self.known.get_key_value(name).map(|(user, _)| user.clone());
        if user.is_none() && !self.ghosts.contains_key(&ghost) {
            self.make_room_for_ghost(ledger);
            self.ghost_order.push_back(ghost);
        }
        match user.and_then(|user| Some((user.clone(), self.known.get_mut(&user)?))) {
            Some((user, account)) => (Tried::Account(user), &mut account.tries),
            None => (Tried::Ghost(ghost), self.ghosts.entry(ghost).or_default()),
        }
    }

    fn make_room_for_ghost(&mut self, ledger: &mut Ledger) {
        while self.ghost_order.len() >= self.ghosts_max.max(1) {
            if let Some(oldest) = self.ghost_order.pop_front() {
                self.ghosts.remove(&oldest);
                ledger.note(forget(Tried::Ghost(oldest)));
            }
        }
    }
}

fn forget(who: Tried) -> StoreOperation {
    StoreOperation::Tries { who, record: TriesRecord::default() }
}
