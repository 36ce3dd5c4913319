//! Who has an account, with which password, and how often a wrong one was tried.
//!
//! Owns the counts and the locks. A name without an account gets a ghost: the same counts, the same kind of
//! password, the same salt at every try, so that neither answers nor their timing tell who exists.

use core::{fmt, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use protocol::{
    Username,
    random::RandomStream,
    scram::{Iterations, Key, Verifier},
    time::MonoMs,
};
use ring::hmac;

use super::effect::ConnId;

/// Wrong passwords in a row that lock an account.
const WRONG_PASSWORDS_MAX: u32 = 3;
/// Bytes of a salt that is made here.
const SALT_LEN: usize = 16;

/// What an account's line in the credentials file holds.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The password as it is typed.
    Plain(Password),
    /// What can check a password but not say it.
    Verifier(Verifier),
}

impl Credential {
    /// A password that nobody can type.
    fn nobodys() -> Self {
        Self::Plain(Password::new("\0"))
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
    /// The password is plain: its keys are on their way, and this connection is told when they are there.
    Coming,
    /// The password is plain, and this connection is the first to need its keys.
    Missing {
        password: Password,
        job: u64,
    },
}

#[derive(Debug)]
struct Account {
    credential: Credential,
    /// The keys of a plain password, once somebody needed them.
    derived: Option<Verifier>,
    /// The derivation under way.
    job: Option<u64>,
    /// Connections that wait for `derived`.
    waiting: Vec<ConnId>,
    wrong_in_a_row: u32,
    locked_until: Option<MonoMs>,
}

impl Account {
    fn new(credential: Credential) -> Self {
        Self {
            credential,
            derived: None,
            job: None,
            waiting: Vec::new(),
            wrong_in_a_row: 0,
            locked_until: None,
        }
    }
}

pub(super) struct Accounts {
    known: BTreeMap<Username, Account>,
    ghosts: BTreeMap<Arc<str>, Account>,
    /// Ghosts by age.
    ghost_order: VecDeque<Arc<str>>,
    ghosts_max: usize,
    lock_out: Option<Duration>,
    last_job: u64,
    /// Turns a name into its salt and a ghost's password; new at each start.
    secret: hmac::Key,
}

/// The secret stays out of every log.
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
        random: &mut RandomStream,
    ) -> Self {
        let known = credentials.into_iter().map(|(user, c)| (user, Account::new(c))).collect();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>());
        let ghosts = BTreeMap::new();
        Self { known, ghosts, ghost_order: VecDeque::new(), ghosts_max, lock_out, last_job: 0, secret }
    }

    /// Takes over a new list; counts and locks of those who stay are kept. Returns who is gone.
    pub(super) fn replace(&mut self, credentials: BTreeMap<Username, Credential>) -> Vec<Username> {
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
        old.into_keys().collect()
    }

    pub(super) fn exists(&self, user: &Username) -> bool {
        self.known.contains_key(user)
    }

    pub(super) fn parameters(&mut self, name: &str) -> Parameters {
        let own_salt = self.tag(b"salt", name);
        match &self.account(name).credential {
            Credential::Verifier(verifier) => {
                Parameters { salt: verifier.salt.clone(), iterations: verifier.iterations }
            }
            Credential::Plain(_) => Parameters { salt: own_salt, iterations: Iterations::DEFAULT },
        }
    }

    /// The keys for a proof of `conn`, or the promise of them.
    pub(super) fn keys(&mut self, name: &str, conn: ConnId) -> Keys {
        let next_job = self.last_job + 1;
        let account = self.account(name);
        match (&account.credential, &account.derived) {
            (Credential::Verifier(verifier), _) | (_, Some(verifier)) => Keys::Known(verifier.clone()),
            (Credential::Plain(password), None) => {
                account.waiting.push(conn);
                if account.job.is_some() {
                    return Keys::Coming;
                }
                let password = password.clone();
                account.job = Some(next_job);
                self.last_job = next_job;
                Keys::Missing { password, job: next_job }
            }
        }
    }

    /// Keys that were missing are there. Returns who must ask for them again.
    pub(super) fn derived(&mut self, name: &str, job: u64, verifier: Verifier) -> Vec<ConnId> {
        let account = self.account(name);
        if account.job == Some(job) {
            account.job = None;
            account.derived = Some(verifier);
        }
        if account.job.is_none() { std::mem::take(&mut account.waiting) } else { Vec::new() }
    }

    /// How much longer the account is locked.
    pub(super) fn locked_for(&mut self, name: &str, now: MonoMs) -> Option<Duration> {
        let until = self.account(name).locked_until?;
        (now < until).then(|| until.since(now))
    }

    /// A wrong password. Returns how long the account is locked now, if it is.
    pub(super) fn wrong(&mut self, name: &str, now: MonoMs) -> Option<Duration> {
        let lock_out = self.lock_out?;
        let account = self.account(name);
        account.wrong_in_a_row += 1;
        if account.wrong_in_a_row < WRONG_PASSWORDS_MAX {
            return None;
        }
        account.wrong_in_a_row = 0;
        account.locked_until = Some(now.after(lock_out));
        Some(lock_out)
    }

    /// A right password: whose it was. `None` for a ghost, whose password nobody knows.
    pub(super) fn right(&mut self, name: &str) -> Option<Username> {
        let (user, _) = self.known.get_key_value(name)?;
        let user = user.clone();
        if let Some(account) = self.known.get_mut(name) {
            account.wrong_in_a_row = 0;
        }
        Some(user)
    }

    fn account(&mut self, name: &str) -> &mut Account {
        if !self.known.contains_key(name) && !self.ghosts.contains_key(name) {
            self.make_room_for_a_ghost();
            self.ghost_order.push_back(name.into());
            let ghost = Account::new(self.ghost_credential(name));
            self.ghosts.insert(name.into(), ghost);
        }
        match self.known.get_mut(name) {
            Some(account) => account,
            None => self.ghosts.entry(name.into()).or_insert_with(|| Account::new(Credential::nobodys())),
        }
    }

    fn make_room_for_a_ghost(&mut self) {
        while self.ghost_order.len() >= self.ghosts_max {
            if let Some(oldest) = self.ghost_order.pop_front() {
                self.ghosts.remove(&oldest);
            }
        }
    }

    /// A credential of the same kind as that of some account, always the same one for the same name, so that
    /// a mixture of kinds in the file tells nothing either.
    fn ghost_credential(&self, name: &str) -> Credential {
        let choice =
            self.tag(b"kind", name).iter().fold(0usize, |sum, &byte| (sum << 8 | usize::from(byte)) % 65_521);
        let model = self.known.values().nth(choice % self.known.len().max(1));
        match model.map(|account| &account.credential) {
            Some(Credential::Verifier(verifier)) => {
                let salt = self.tag(b"salt", name).into_iter().cycle().take(verifier.salt.len()).collect();
                Credential::Verifier(Verifier {
                    iterations: verifier.iterations,
                    salt,
                    stored_key: Key::new(self.secret_32(b"stored", name)),
                    server_key: Key::new(self.secret_32(b"server", name)),
                })
            }
            Some(Credential::Plain(_)) | None => {
                let password: String =
                    self.secret_32(b"password", name).iter().map(|b| char::from(*b)).collect();
                Credential::Plain(Password::new(&password))
            }
        }
    }

    /// Bytes that look random and are always the same for a name.
    fn tag(&self, purpose: &[u8], name: &str) -> Vec<u8> {
        self.secret_32(purpose, name).into_iter().take(SALT_LEN).collect()
    }

    fn secret_32(&self, purpose: &[u8], name: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(purpose);
        context.update(&[0]);
        context.update(name.as_bytes());
        let mut out = [0; 32];
        out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}
