//! Who takes nothing from whom.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Username;

/// Every user's block list.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    lists: BTreeMap<Username, BTreeSet<Username>>,
}

impl Blocks {
    pub(super) fn has_blocked(&self, by: &Username, user: &Username) -> bool {
        self.lists.get(by).is_some_and(|list| list.contains(user))
    }

    /// Whom `by` has blocked, sorted.
    pub(super) fn list(&self, by: &Username) -> impl Iterator<Item = &Username> {
        self.lists.get(by).into_iter().flatten()
    }

    pub(super) fn len(&self, by: &Username) -> usize {
        self.lists.get(by).map_or(0, BTreeSet::len)
    }

    pub(super) fn add(&mut self, by: &Username, user: Username) {
        self.lists.entry(by.clone()).or_default().insert(user);
    }

    pub(super) fn remove(&mut self, by: &Username, user: &Username) {
        if let Some(list) = self.lists.get_mut(by) {
            list.remove(user);
            if list.is_empty() {
                self.lists.remove(by);
            }
        }
    }
}
