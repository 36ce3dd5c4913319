//! Who takes nothing from whom.
//!
//! A change is in force at once, and stays if the store makes it durable. Of several changes under way any may
//! fail; when the last is settled, what is in force is what is durable.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Username;

/// Changes of one pair that may be under way at a time.
const CHANGES_MAX: usize = 16;

/// Every user's block list.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    lists: BTreeMap<Username, BTreeSet<Username>>,
    /// Pairs with changes under way.
    unsettled: BTreeMap<(Username, Username), Unsettled>,
}

#[derive(Debug)]
struct Unsettled {
    /// Whether the block is durable.
    durable: bool,
    changes: usize,
}

impl Blocks {
    /// As they were when the last process ended.
    pub(super) fn recover(pairs: Vec<(Username, Username)>) -> Self {
        let mut blocks = Self::default();
        for (by, user) in pairs {
            blocks.set(&by, &user, true);
        }
        blocks
    }

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

    /// Whether changes of this pair are under way.
    pub(super) fn is_unsettled(&self, by: &Username, user: &Username) -> bool {
        self.unsettled.contains_key(&(by.clone(), user.clone()))
    }

    /// Whether so many changes of this pair are under way that one more could only fill memory while the disk is slow.
    pub(super) fn is_churned(&self, by: &Username, user: &Username) -> bool {
        let pair = (by.clone(), user.clone());
        self.unsettled.get(&pair).is_some_and(|unsettled| unsettled.changes >= CHANGES_MAX)
    }

    /// Puts a change in force; [`Blocks::settle`] follows.
    pub(super) fn change(&mut self, by: &Username, user: &Username, blocked: bool) {
        let before = self.has_blocked(by, user);
        let pair = (by.clone(), user.clone());
        let unsettled = self.unsettled.entry(pair).or_insert(Unsettled { durable: before, changes: 0 });
        unsettled.changes += 1;
        self.set(by, user, blocked);
    }

    /// The store has answered for the oldest change of this pair.
    pub(super) fn settle(&mut self, by: &Username, user: &Username, blocked: bool, durable: bool) {
        let pair = (by.clone(), user.clone());
        let Some(unsettled) = self.unsettled.get_mut(&pair) else { return };
        if durable {
            unsettled.durable = blocked;
        }
        unsettled.changes -= 1;
        if unsettled.changes == 0 {
            let is_blocked = unsettled.durable;
            self.unsettled.remove(&pair);
            self.set(by, user, is_blocked);
        }
    }

    fn set(&mut self, by: &Username, user: &Username, blocked: bool) {
        if blocked {
            self.lists.entry(by.clone()).or_default().insert(user.clone());
        } else if let Some(list) = self.lists.get_mut(by) {
            list.remove(user);
            if list.is_empty() {
                self.lists.remove(by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_leaves_what_was_durable_before() {
        let (by, user): (Username, Username) = ("ada".parse().unwrap(), "alan".parse().unwrap());
        for answers in 0..8u32 {
            let mut blocks = Blocks::default();
            let mut durable = false;
            let changes = [true, false, true];
            for blocked in changes {
                blocks.change(&by, &user, blocked);
                assert_eq!(blocks.has_blocked(&by, &user), blocked, "in force at once");
            }
            for (n, blocked) in changes.into_iter().enumerate() {
                let succeeds = answers & (1 << n) != 0;
                blocks.settle(&by, &user, blocked, succeeds);
                durable = if succeeds { blocked } else { durable };
            }
            assert_eq!(blocks.has_blocked(&by, &user), durable, "answers {answers:03b}");
            assert!(blocks.unsettled.is_empty());
        }
    }
}
