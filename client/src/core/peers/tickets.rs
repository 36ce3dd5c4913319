//! Whom to expect: tickets that the server has announced to this client.
//!
//! Owns the check of who comes. Must not know how peers connect.

use std::collections::BTreeMap;

use protocol::{Fingerprint, Purpose, TicketId, Username, limits::TICKET_LIFE, time::MonoMs};
use thiserror::Error;

/// More than a server that keeps to its limits ever announces in [`TICKET_LIFE`]; beyond it the oldest goes.
const COUNT_MAX: usize = 1_024;

/// Tickets that may still be shown.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    expected: BTreeMap<TicketId, Expected>,
}

#[derive(Debug)]
struct Expected {
    from: Username,
    key: Fingerprint,
    purpose: Purpose,
    until: MonoMs,
}

/// Why somebody who comes is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum TicketError {
    /// Never announced, or used before.
    #[error("nobody was announced with this ticket")]
    Unknown,
    /// Its time is over.
    #[error("this ticket is too old")]
    Expired,
    /// It was given for something else.
    #[error("this ticket is for something else")]
    OtherPurpose,
    /// It was given to somebody else.
    #[error("this ticket was given to another key")]
    OtherKey,
}

impl Tickets {
    /// The server says that somebody may come.
    pub(super) fn expect(
        &mut self,
        ticket: TicketId,
        from: Username,
        key: Fingerprint,
        purpose: Purpose,
        now: MonoMs,
    ) {
        self.expected.retain(|_, expected| now < expected.until);
        if self.expected.len() >= COUNT_MAX {
            let oldest = self.expected.iter().min_by_key(|(_, expected)| expected.until).map(|(&id, _)| id);
            oldest.and_then(|id| self.expected.remove(&id));
        }
        self.expected.insert(ticket, Expected { from, key, purpose, until: now.after(TICKET_LIFE) });
    }

    /// It was shown by us, when we dialled back.
    pub(super) fn use_up(&mut self, ticket: TicketId) {
        self.expected.remove(&ticket);
    }

    /// That user is not wanted any more.
    pub(super) fn forget(&mut self, user: &Username) {
        self.expected.retain(|_, expected| expected.from != *user);
    }

    /// Somebody comes and shows a ticket and a key: who it is. The ticket is used up, whatever the outcome, so
    /// that nobody can try keys against it.
    pub(super) fn redeem(
        &mut self,
        ticket: TicketId,
        key: Fingerprint,
        purpose: Purpose,
        now: MonoMs,
    ) -> Result<Username, TicketError> {
        let expected = self.expected.remove(&ticket).ok_or(TicketError::Unknown)?;
        if expected.until <= now {
            Err(TicketError::Expired)
        } else if expected.key != key {
            Err(TicketError::OtherKey)
        } else if expected.purpose != purpose {
            Err(TicketError::OtherPurpose)
        } else {
            Ok(expected.from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Fingerprint = Fingerprint([1; 32]);
    const ID: TicketId = TicketId(7);

    fn announced() -> (Tickets, Username) {
        let ada: Username = "ada".parse().unwrap();
        let mut tickets = Tickets::default();
        tickets.expect(ID, ada.clone(), KEY, Purpose::Talk, MonoMs(0));
        (tickets, ada)
    }

    #[test]
    fn a_ticket_works_once_in_time_for_its_key_and_purpose() {
        let (mut tickets, ada) = announced();
        assert_eq!(tickets.redeem(ID, KEY, Purpose::Talk, MonoMs(29_999)), Ok(ada));
        assert_eq!(tickets.redeem(ID, KEY, Purpose::Talk, MonoMs(29_999)), Err(TicketError::Unknown));
        assert_eq!(announced().0.redeem(ID, KEY, Purpose::Talk, MonoMs(30_000)), Err(TicketError::Expired));
        assert_eq!(announced().0.redeem(ID, KEY, Purpose::Files, MonoMs(1)), Err(TicketError::OtherPurpose));
        let mut tickets = announced().0;
        let thief = Fingerprint([2; 32]);
        assert_eq!(tickets.redeem(ID, thief, Purpose::Talk, MonoMs(1)), Err(TicketError::OtherKey));
        assert_eq!(tickets.redeem(ID, KEY, Purpose::Talk, MonoMs(1)), Err(TicketError::Unknown));
    }

    #[test]
    fn a_server_that_announces_without_end_fills_no_memory() {
        let (mut tickets, ada) = announced();
        for n in 0..10_000 {
            tickets.expect(TicketId(n), ada.clone(), KEY, Purpose::Files, MonoMs(1));
        }
        assert_eq!(tickets.expected.len(), COUNT_MAX);
        tickets.expect(ID, ada, KEY, Purpose::Files, MonoMs(60_000));
        assert_eq!(tickets.expected.len(), 1);
    }
}
