//! Tickets that are shown before the server's word of them has come: that goes another way, and may be slower.
//!
//! Owns how long they wait. Must not know what they open.

use core::time::Duration;

use protocol::{Purpose, TicketId, time::MonoMs};

use super::{LinkId, Peers};

/// How long the server's word may take longer than the other client: less than that one waits for an answer.
const LATE_MAX: Duration = Duration::from_secs(2);

/// A ticket that nobody has announced yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early {
    ticket: TicketId,
    purpose: Purpose,
    until: MonoMs,
}

impl Peers {
    /// Keeps it for a moment; one for each link.
    pub(super) fn came_early(&mut self, id: LinkId, ticket: TicketId, purpose: Purpose, now: MonoMs) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let early = Early { ticket, purpose, until: now.after(LATE_MAX) };
        if let Some(before) = link.early.replace(early) {
            self.turn_away(id, before.ticket, now);
        }
    }

    /// The server has announced that ticket: whoever has shown it may come in.
    pub(super) fn announced(&mut self, ticket: TicketId, now: MonoMs) {
        let shown: Vec<(LinkId, Early)> = self
            .links
            .iter_mut()
            .filter_map(|(&id, link)| {
                link.early.take_if(|early| early.ticket == ticket).map(|early| (id, early))
            })
            .collect();
        for (id, early) in shown {
            self.meet(id, ticket, early.purpose, now);
        }
    }

    /// Turns those away whose tickets nobody has announced.
    pub(super) fn give_up_early(&mut self, now: MonoMs) {
        let late: Vec<(LinkId, Early)> = self
            .links
            .iter_mut()
            .filter_map(|(&id, link)| link.early.take_if(|early| early.until <= now).map(|early| (id, early)))
            .collect();
        for (id, early) in late {
            self.turn_away(id, early.ticket, now);
        }
    }

    /// When [`Peers::give_up_early`] is due.
    pub(super) fn early_due(&self) -> Option<MonoMs> {
        self.links.values().filter_map(|link| link.early).map(|early| early.until).min()
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Fingerprint, PeerFrame, VERSION};

    use super::*;
    use crate::core::{
        Event,
        peers::{KnownPeers, Output},
    };

    #[test]
    fn a_ticket_may_come_before_the_servers_word_but_not_long_before() {
        let (me, bob) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        let (link, ticket, purpose, now) = (LinkId(1), TicketId(7), Purpose::Talk, MonoMs(1000));
        for (late_ms, is_met) in [(0, true), (1999, true), (2000, false)] {
            let mut peers = Peers::new(me, KnownPeers::default());
            peers.logged_in(&"ada".parse().unwrap());
            peers.accepted(link, None, now);
            peers.secured(link, bob);
            peers.frame(link, PeerFrame::Meet { version: VERSION, ticket, purpose }, now).unwrap();
            let later = now.after(Duration::from_millis(late_ms));
            peers.handle_timeout(later, |_| false);
            peers.expect(ticket, ("bob".parse().unwrap(), bob, purpose), Vec::new(), later);
            let mut outputs = core::iter::from_fn(|| peers.poll_output());
            let is_opened = |output| matches!(output, Output::Show(Event::PrivateOpened { .. }));
            assert_eq!(outputs.any(is_opened), is_met, "{late_ms}");
        }
    }
}
