//! What clients say between requests, without waiting for an answer: where they can be reached, that they cannot
//! reach each other, what they hold. None of it shows that the user is active.

use protocol::{ClientFrame, limits::CARRY_LEN_MAX};

use super::{ConnId, Desk, Hub, reach, sessions::Alarm};

/// Relayed bytes are bounded by their credit. Shorter frames than this are counted as well: they cost as much.
const CARRY_LEN_FREE: usize = CARRY_LEN_MAX / 16;

impl Hub {
    pub(super) fn unanswered(&mut self, conn: ConnId, frame: ClientFrame<'_>) {
        let Some(user) = self.user(conn) else { return };
        let Self { now, limits, sessions, presence, blocks, tickets, relays, files, ledger, .. } = self;
        let desk = &mut Desk { now: *now, limits, sessions, ledger };
        match frame {
            ClientFrame::Reachable { addresses } => {
                desk.sessions.charge(conn, 1);
                if let Some(session) = desk.sessions.get_mut(conn) {
                    session.addresses = reach::candidates(&addresses, session.peer);
                }
            }
            ClientFrame::DialBack { ticket } => {
                desk.sessions.charge(conn, 1);
                tickets.dial_back(desk, (presence, blocks), &user, ticket);
            }
            ClientFrame::Relay { ticket } => {
                desk.sessions.charge(conn, 1);
                relays.open(desk, (tickets, presence, blocks), (&user, conn), ticket);
            }
            ClientFrame::Carry { ticket, bytes } => {
                let is_free = relays.carry(desk, conn, ticket, bytes) && bytes.len() >= CARRY_LEN_FREE;
                desk.sessions.charge(conn, u64::from(!is_free));
            }
            ClientFrame::RelayEnd { ticket } => {
                desk.sessions.charge(conn, 1);
                relays.hang_up(desk, conn, ticket);
            }
            ClientFrame::Have { file, held } => {
                let cost = files.work_of(&frame);
                desk.sessions.charge(conn, cost);
                files.have(desk, (&user, conn), file, held);
            }
            _ => {}
        }
    }

    /// Room in an outbox lets relays and long lists go on.
    pub(super) fn fill_room(&mut self, conn: ConnId) {
        let Self { now, limits, sessions, presence, relays, files, ledger, .. } = self;
        let desk = &mut Desk { now: *now, limits, sessions, ledger };
        files.go_on(desk, presence, conn);
        relays.sent(desk, conn);
    }

    /// The session is over: what was under way for it ends.
    pub(super) fn drop_unanswered(&mut self, conn: ConnId, user: &protocol::Username) {
        let Self { now, limits, sessions, tickets, relays, files, ledger, .. } = self;
        let desk = &mut Desk { now: *now, limits, sessions, ledger };
        tickets.ended(user);
        relays.ended(desk, conn);
        desk.sessions.disarm(conn, Alarm::Relay);
        files.ended(user, conn);
    }
}
