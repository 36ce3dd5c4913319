//! Tickets: the server's word to two clients that each may trust the other's coming, once and soon.
//!
//! Owns what is out, how many, and what may still be asked for with each. Must not know how clients meet.

use std::collections::{BTreeMap, VecDeque};

use protocol::{ErrorCode, Purpose, ServerFrame, TicketId, Username, random::RandomStream, time::MonoMs};

use super::{
    accounts::Accounts,
    blocks::Blocks,
    chat::{Asker, check_other},
    effect::ConnId,
    post::Desk,
    presence::Presence,
    reach,
};

/// The tickets that are out, or were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    issued: BTreeMap<TicketId, Issued>,
    /// Each user's own, oldest first.
    by_owner: BTreeMap<Username, VecDeque<TicketId>>,
}

/// A ticket that is out.
#[derive(Debug)]
pub(super) struct Issued {
    from: Username,
    pub(super) to: Username,
    /// The connection that was told to expect it: a later one of the same user knows nothing of it.
    pub(super) there: ConnId,
    until: MonoMs,
    dialled_back: bool,
    /// A relay stood for it.
    pub(super) relayed: bool,
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
        let (here, that) = (desk.sessions.get(asker.waiter.conn), desk.sessions.get(there));
        let (here, that) = here.zip(that).ok_or(ErrorCode::Offline)?;
        let (my_key, other_key) = here.key.zip(that.key).ok_or(ErrorCode::Offline)?;
        let mine = reach::told_to(that.peer, &here.addresses);
        let theirs = reach::told_to(here.peer, &that.addresses);
        let ticket = TicketId(u128::from_be_bytes(random.bytes()));
        self.note(desk, ticket, (asker.user, other, there))?;
        let expect =
            ServerFrame::Expect { ticket, from: asker.user.clone(), key: my_key, purpose, addresses: mine };
        desk.sessions.tell(there, &expect, desk.now.mono, desk.limits);
        let given =
            ServerFrame::Ticket { request: asker.waiter.request, ticket, key: other_key, addresses: theirs };
        desk.sessions.tell(asker.waiter.conn, &given, desk.now.mono, desk.limits);
        Ok(())
    }

    /// Notes one more ticket of that user, unless too many are out.
    fn note(
        &mut self,
        desk: &Desk<'_>,
        ticket: TicketId,
        (from, to, there): (&Username, &Username, ConnId),
    ) -> Result<(), ErrorCode> {
        let now = desk.now.mono;
        let out = self.by_owner.entry(from.clone()).or_default();
        while let Some(oldest) = out.front()
            && self.issued.get(oldest).is_none_or(|issued| issued.until <= now)
        {
            self.issued.remove(oldest);
            out.pop_front();
        }
        if out.len() >= desk.limits.tickets_max {
            return Err(ErrorCode::Quota);
        }
        out.push_back(ticket);
        let issued = Issued {
            from: from.clone(),
            to: to.clone(),
            there,
            until: now.after(protocol::limits::TICKET_LIFE),
            dialled_back: false,
            relayed: false,
        };
        self.issued.insert(ticket, issued);
        Ok(())
    }

    /// The ticket, if it is out, that user's own, and known to a client that is still there.
    pub(super) fn own(
        &mut self,
        owner: &Username,
        ticket: TicketId,
        presence: &Presence,
        now: MonoMs,
    ) -> Option<&mut Issued> {
        self.issued.get_mut(&ticket).filter(|issued| {
            let is_out = now < issued.until && presence.conn(&issued.to) == Some(issued.there);
            is_out && issued.from == *owner
        })
    }

    /// The owner cannot get through: the other client is asked to dial, once.
    pub(super) fn dial_back(
        &mut self,
        desk: &mut Desk<'_>,
        (presence, blocks): (&Presence, &Blocks),
        owner: &Username,
        ticket: TicketId,
    ) {
        let Some(issued) = self.own(owner, ticket, presence, desk.now.mono) else { return };
        if issued.dialled_back || blocks.has_blocked(&issued.to, owner) {
            return;
        }
        issued.dialled_back = true;
        desk.sessions.tell(issued.there, &ServerFrame::DialBack { ticket }, desk.now.mono, desk.limits);
    }

    /// The user is gone, and his tickets are worth nothing.
    pub(super) fn ended(&mut self, user: &Username) {
        for ticket in self.by_owner.remove(user).unwrap_or_default() {
            self.issued.remove(&ticket);
        }
    }
}
