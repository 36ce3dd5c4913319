//! The ids of messages that were shown lately, so that one that comes again is confirmed but not shown again.

use std::collections::{BTreeSet, VecDeque};

use protocol::{MessageId, Username};

/// Remembers the last few thousand.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    ids: BTreeSet<(Username, MessageId)>,
    order: VecDeque<(Username, MessageId)>,
    /// What was noted last, also if that was not for the first time.
    last: Option<(Username, MessageId)>,
}

impl Seen {
    /// What may come again: at most 128 messages are on their way to one client without its confirmation; a whole
    /// mailbox (1,000) if the server's store could not drop what was confirmed and the server fell over then; and
    /// what its sender sends again, having heard no answer. Broadcasts count too, and must not push those out.
    pub const COUNT_MAX: usize = 4_096;

    /// Notes a message. False if it was noted before.
    pub fn insert(&mut self, from: &Username, id: MessageId) -> bool {
        let key = (from.clone(), id);
        self.last = Some(key.clone());
        if !self.ids.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > Self::COUNT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// Notes what other clients of this user have shown. The last of that, if it was not noted before.
    pub(super) fn add(&mut self, others: Self) -> Option<(Username, MessageId)> {
        let last = others.last.filter(|last| !self.ids.contains(last));
        for (from, id) in others.order {
            self.insert(&from, id);
        }
        last
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
        assert_eq!((seen.ids.len(), seen.order.len()), (Seen::COUNT_MAX, Seen::COUNT_MAX));
    }

    #[test]
    fn the_last_note_is_news_once_also_if_another_client_had_noted_it_before() {
        let ada: Username = "ada".parse().unwrap();
        let mut others = Seen::default();
        for id in [1, 2, 1] {
            others.insert(&ada, MessageId(id));
        }
        let mut seen = Seen::default();
        assert_eq!(seen.add(others.clone()), Some((ada.clone(), MessageId(1))));
        assert_eq!(seen.add(others), None);
        assert!(!seen.insert(&ada, MessageId(2)));
    }
}
