//! How much of the index each user takes.
//!
//! Owns the counts. Must not know files.

use std::collections::BTreeMap;

use protocol::Username;

use crate::hub::limits::Limits;

/// What a holder costs beside his set: his place in the tables.
const HOLDING_OVERHEAD: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Quotas {
    users: BTreeMap<Username, Usage>,
    total: Usage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    names: usize,
    holdings: usize,
    /// Bytes of the holdings, with what each costs besides.
    len: usize,
}

impl Quotas {
    pub(super) fn admits_name(&self, limits: &Limits, user: &Username) -> bool {
        self.of(user).names < limits.files_per_user_max && self.total.names < limits.files_max
    }

    /// Whether a set of that length may take the place of one that was as long as `before`, if there was one.
    pub(super) fn admits_holding(
        &self,
        limits: &Limits,
        user: &Username,
        before: Option<usize>,
        len: usize,
    ) -> bool {
        let usage = self.of(user);
        let freed = before.map_or(0, cost);
        let is_new = usize::from(before.is_none());
        usage.holdings + is_new <= limits.holdings_per_user_max
            && usage.len - freed + cost(len) <= limits.holdings_len_per_user_max
            && self.total.len - freed + cost(len) <= limits.holdings_len_max
    }

    pub(super) fn add_name(&mut self, user: &Username) {
        self.change(user, |usage| usage.names += 1);
    }

    pub(super) fn remove_name(&mut self, user: &Username) {
        self.change(user, |usage| usage.names -= 1);
    }

    pub(super) fn add_holding(&mut self, user: &Username, len: usize) {
        self.change(user, |usage| {
            usage.holdings += 1;
            usage.len += cost(len);
        });
    }

    pub(super) fn remove_holding(&mut self, user: &Username, len: usize) {
        self.change(user, |usage| {
            usage.holdings -= 1;
            usage.len -= cost(len);
        });
    }

    fn of(&self, user: &Username) -> Usage {
        self.users.get(user).copied().unwrap_or_default()
    }

    fn change(&mut self, user: &Username, change: impl Fn(&mut Usage)) {
        let usage = self.users.entry(user.clone()).or_default();
        change(usage);
        if *usage == Usage::default() {
            self.users.remove(user);
        }
        change(&mut self.total);
    }
}

fn cost(len: usize) -> usize {
    len + HOLDING_OVERHEAD
}
