//! Tickets: the server's word to two clients that each may trust the other's coming, once and soon.
//!
//! Owns what is out and how many. Must not know how clients meet.

use std::collections::{BTreeMap, VecDeque};

use protocol::{ErrorCode, Purpose, ServerFrame, TicketId, Username, random::RandomStream, time::MonoMs};

use super::{
    accounts::Accounts,
    blocks::Blocks,
    chat::{Asker, check_other},
    post::Desk,
    presence::Presence,
};

/// When each user's tickets that are out end, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    out: BTreeMap<Username, VecDeque<MonoMs>>,
}

impl Tickets {
    /// Gives a ticket to who asks, and tells the other client whom to expect.
    pub(super) fn invite(
        &mut self,
        desk: &mut Desk<'_>,
        (accounts, presence, blocks, random): (&Accounts, &Presence, &Blocks, &mut RandomStream),
        asker: &Asker<'_>,
        (other, purpose): (&Username, Purpose),
    ) {
        if let Err(code) =
            self.try_invite(desk, (accounts, presence, blocks, random), asker, (other, purpose))
        {
            desk.refuse(asker.waiter, code);
        }
    }

    fn try_invite(
        &mut self,
        desk: &mut Desk<'_>,
        (accounts, presence, blocks, random): (&Accounts, &Presence, &Blocks, &mut RandomStream),
        asker: &Asker<'_>,
        (other, purpose): (&Username, Purpose),
    ) -> Result<(), ErrorCode> {
        check_other(accounts, asker.user, other)?;
        let there = presence.conn(other).ok_or(ErrorCode::Offline)?;
        if blocks.has_blocked(other, asker.user) {
            return Err(ErrorCode::Blocked);
        }
        let key_of = |conn| desk.sessions.get(conn).and_then(|session| session.key);
        let (my_key, other_key) = key_of(asker.waiter.conn).zip(key_of(there)).ok_or(ErrorCode::Offline)?;
        self.count(asker.user, desk)?;
        let ticket = TicketId(u128::from_be_bytes(random.bytes()));
        let expect = ServerFrame::Expect {
            ticket,
            from: asker.user.clone(),
            key: my_key,
            purpose,
            addresses: Vec::new(),
        };
        desk.sessions.tell(there, &expect, desk.now.mono, desk.limits);
        let given = ServerFrame::Ticket {
            request: asker.waiter.request,
            ticket,
            key: other_key,
            addresses: Vec::new(),
        };
        desk.sessions.tell(asker.waiter.conn, &given, desk.now.mono, desk.limits);
        Ok(())
    }

    /// Notes one more ticket of that user, unless too many are out.
    fn count(&mut self, user: &Username, desk: &Desk<'_>) -> Result<(), ErrorCode> {
        let out = self.out.entry(user.clone()).or_default();
        while out.front().is_some_and(|&end| end <= desk.now.mono) {
            out.pop_front();
        }
        if out.len() >= desk.limits.tickets_max {
            return Err(ErrorCode::Quota);
        }
        out.push_back(desk.now.mono.after(protocol::limits::TICKET_LIFE));
        Ok(())
    }

    /// The user is gone, and his tickets are worth nothing.
    pub(super) fn ended(&mut self, user: &Username) {
        self.out.remove(user);
    }
}
