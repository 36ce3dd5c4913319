//! The accounts, and what each user has seen over all his clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use client::core::Seen;
use protocol::{
    Username,
    scram::{Iterations, Verifier},
};
use server::hub::{Credential, Password};

/// One of them is named like the server, which must not matter.
const NAMES: [&str; 7] = ["ada", "bo", "cyd.2", "server", "Zoë_z", "mallory", "trudy"];

/// The accounts behind the people's: for hostile programs that log in.
pub(crate) const HOSTILE_ACCOUNTS: usize = 2;

/// The rounds of stored verifiers: the fewest that clients accept, since each log-in costs them.
const ROUNDS: u32 = 4_096;

#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: Username,
    /// What his clients remember of shown messages, on disk.
    pub(crate) seen: Seen,
    /// The same by the numbers in the texts.
    pub(crate) shown: BTreeSet<u64>,
    /// By the client that sent it: the last message that was shown.
    pub(crate) last_shown: BTreeMap<u32, u64>,
    /// Clients that run.
    pub(crate) rigs: usize,
}

pub(crate) fn people(count: usize) -> Vec<Person> {
    let name = |(name, _): &(Username, Verifier)| Person {
        name: name.clone(),
        seen: Seen::default(),
        shown: BTreeSet::new(),
        last_shown: BTreeMap::new(),
        rigs: 0,
    };
    accounts().iter().take(count).map(name).collect()
}

/// The names of accounts for hostile programs.
pub(crate) fn hostile_names() -> Vec<Username> {
    accounts().iter().rev().take(HOSTILE_ACCOUNTS).map(|(name, _)| name.clone()).collect()
}

pub(crate) fn password(name: &Username) -> String {
    format!("pass word of {name}")
}

/// What the operator's file says, perhaps without one of the people.
pub(crate) fn credentials(
    people: &[Person],
    plain_password: bool,
    without: Option<&Username>,
) -> BTreeMap<Username, Credential> {
    let hostile = hostile_names();
    let mut credentials = BTreeMap::new();
    for (name, verifier) in accounts() {
        let is_here = hostile.contains(name) || people.iter().any(|person| person.name == *name);
        if is_here && without != Some(name) {
            credentials.insert(name.clone(), Credential::Verifier(verifier.clone()));
        }
    }
    if let Some(first) = people.first().filter(|first| plain_password && without != Some(&first.name)) {
        credentials.insert(first.name.clone(), Credential::Plain(Password::new(&password(&first.name))));
    }
    credentials
}

/// Derived once for all histories.
fn accounts() -> &'static [(Username, Verifier)] {
    static ACCOUNTS: OnceLock<Vec<(Username, Verifier)>> = OnceLock::new();
    ACCOUNTS.get_or_init(|| {
        let names = NAMES.iter().filter_map(|name| name.parse::<Username>().ok());
        let account = |name: Username| {
            let salt = format!("salt of {name}");
            let verifier = Verifier::derive(&password(&name), salt.as_bytes(), Iterations::new(ROUNDS)?);
            Some((name, verifier))
        };
        names.filter_map(account).collect()
    })
}
