//! What clients of this user have shown before this one, and the last of it, of which that is not certain.
//!
//! Owns the waiting for the shell's answer. Must not know where it keeps what was shown.

use protocol::{ClientFrame, MessageId, Username};

use super::{Core, Effect, Event};

#[derive(Debug, Default)]
pub(super) struct Recall {
    /// No frame is looked at until it is known what was shown before.
    is_awaited: bool,
    /// The last message of the client before this one: it may have ended before the last bit of that was shown.
    doubtful: Option<(Username, MessageId)>,
}

impl Recall {
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// The shell has answered. `last`: the last message that another client has shown, unless this one has, too.
    pub(super) fn recalled(&mut self, last: Option<(Username, MessageId)>) {
        self.is_awaited = false;
        // What this client has been told before, it is not told again; it may not have come yet.
        if last.is_some() {
            self.doubtful = last;
        }
    }
}

impl Core {
    /// Asks each time: while this client was away, another one of this user may have shown something.
    pub(super) fn recall_seen(&mut self, user: &Username) {
        let secured = self.link.as_ref().and_then(|link| link.secured.as_ref());
        let server = secured.and_then(|secured| secured.peer);
        self.effects.push_back(Effect::Recall { user: user.clone(), server });
        self.recall.is_awaited = true;
    }

    /// The server does not know that a message was shown.
    pub(super) fn delivered_again(&mut self, from: Username, id: MessageId, text: &str) {
        let key = (from, id);
        let is_doubtful = self.recall.doubtful.take_if(|doubtful| *doubtful == key).is_some();
        let (from, id) = key;
        if is_doubtful {
            // As a message it must not come twice, and lost it must not be: it is confirmed when this was shown.
            let text = format!(
                "The client before this one ended while it showed you this message from {from}, or right after: {text}"
            );
            return self.show(Event::Doubt { from, id, text });
        }
        if let Some(link) = &mut self.link {
            link.send(&ClientFrame::Ack { from, id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_lasts_until_the_message_comes() {
        let doubtful = ("ada".parse().unwrap(), MessageId(1));
        let mut recall = Recall::default();
        recall.recalled(Some(doubtful.clone()));
        recall.recalled(None);
        assert_eq!(recall.doubtful, Some(doubtful));
    }
}
