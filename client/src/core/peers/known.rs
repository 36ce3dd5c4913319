//! Whose key is whose: the keys that users have shown before, and those that differ from them.
//!
//! Owns the judgement of a key. Must not know where keys are kept.

use std::collections::BTreeMap;

use protocol::{Fingerprint, Username};

/// New keys of users whose key has changed: more than that many at once are an attack.
const CHANGED_MAX: usize = 64;

/// Keys by user, of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownPeers {
    keys: BTreeMap<Username, Fingerprint>,
    /// Shown in place of the known one, and not trusted yet.
    changed: BTreeMap<Username, Fingerprint>,
}

/// What is thought of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Never seen a key of that user.
    New,
    /// As before.
    Same,
    /// Another one than before.
    Changed,
}

impl KnownPeers {
    /// With the keys that were remembered.
    pub fn new(keys: BTreeMap<Username, Fingerprint>) -> Self {
        Self { keys, changed: BTreeMap::new() }
    }

    /// Compares; a key that has changed waits for [`KnownPeers::trust`].
    pub(super) fn judge(&mut self, user: &Username, key: Fingerprint) -> Judgement {
        match self.keys.get(user) {
            None => Judgement::New,
            Some(&known) if known == key => Judgement::Same,
            Some(_) => {
                if self.changed.len() < CHANGED_MAX || self.changed.contains_key(user) {
                    self.changed.insert(user.clone(), key);
                }
                Judgement::Changed
            }
        }
    }

    /// Remembers a key that was proven. Whether it is new.
    pub(super) fn remember(&mut self, user: &Username, key: Fingerprint) -> bool {
        self.keys.insert(user.clone(), key) != Some(key)
    }

    /// Takes the changed key for that user's, or forgets the known one if no other was shown; the key that is
    /// known from now on.
    pub(super) fn trust(&mut self, user: &Username) -> Option<Fingerprint> {
        let changed = self.changed.remove(user);
        match changed {
            Some(key) => self.keys.insert(user.clone(), key),
            None => self.keys.remove(user),
        };
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_key_stays_refused_until_it_is_trusted() {
        let bob: Username = "bob".parse().unwrap();
        let (old, new) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        let mut known = KnownPeers::default();
        assert_eq!(known.judge(&bob, old), Judgement::New);
        assert!(known.remember(&bob, old) && !known.remember(&bob, old));
        assert_eq!(known.judge(&bob, old), Judgement::Same);
        assert_eq!(known.judge(&bob, new), Judgement::Changed);
        assert_eq!(known.judge(&bob, new), Judgement::Changed);
        assert_eq!(known.trust(&bob), Some(new));
        assert_eq!(known.judge(&bob, new), Judgement::Same);
        assert_eq!(known.trust(&bob), None);
        assert_eq!(known.judge(&bob, old), Judgement::New);
    }
}
