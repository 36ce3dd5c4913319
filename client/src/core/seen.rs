//! The ids of messages that were shown lately, so that one that comes again is confirmed but not shown again.

use std::collections::{BTreeSet, VecDeque};

use protocol::{MessageId, Username};

/// More than the server ever has on its way to one client (128), many times over.
const COUNT_MAX: usize = 4_096;

/// Remembers the last few thousand.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    ids: BTreeSet<(Username, MessageId)>,
    order: VecDeque<(Username, MessageId)>,
}

impl Seen {
    /// Notes a message. False if it was noted before.
    pub fn insert(&mut self, from: &Username, id: MessageId) -> bool {
        let key = (from.clone(), id);
        if !self.ids.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > COUNT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_of_another_sender_is_another_message_and_memory_is_bounded() {
        let (ada, alan): (Username, Username) = ("ada".parse().unwrap(), "alan".parse().unwrap());
        let mut seen = Seen::default();
        assert!(seen.insert(&ada, MessageId(1)));
        assert!(!seen.insert(&ada, MessageId(1)));
        assert!(seen.insert(&alan, MessageId(1)));
        for n in 2..10_000 {
            seen.insert(&ada, MessageId(n));
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (COUNT_MAX, COUNT_MAX));
    }
}
