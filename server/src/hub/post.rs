//! Direct messages on their way: from the sender's request to the recipient's acknowledgement.
//!
//! Owns the mailboxes and the one rule of delivery: a sender is told `delivered` when the recipient's client
//! has acknowledged, or `stored` when the store has the message, and the server lets go of a message only
//! after the first. Must not know log-in, blocks, or how bytes travel.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use protocol::{
    ErrorCode, Frame, MessageId, ServerFrame, Username,
    time::{MonoMs, Now, UnixMs},
};

use super::{
    durable::{KnownFate, KnownId},
    effect::{ConnId, Effect, MailboxPage, Sequence, StoreOperation, StoredMessage},
    known_ids::{Digest, Fate, KnownIds, Memory, Waiter},
    ledger::{Ledger, Promise},
    limits::Limits,
    sessions::{Lane, Sessions, Timer},
};

/// What delivering touches outside the mailboxes.
pub(super) struct Desk<'a> {
    pub(super) now: Now,
    pub(super) limits: &'a Limits,
    pub(super) sessions: &'a mut Sessions,
    pub(super) ledger: &'a mut Ledger,
}

/// A message as its sender handed it in.
pub(super) struct Letter<'a> {
    pub(super) from: &'a Username,
    pub(super) to: &'a Username,
    pub(super) id: MessageId,
    pub(super) text: &'a str,
}

#[derive(Debug, Default)]
pub(super) struct PostOffice {
    mailboxes: BTreeMap<Username, Mailbox>,
    known: KnownIds,
    last_sequence: Sequence,
    /// Users for whom a patience timer is set.
    patience: BTreeSet<Username>,
}

/// What is on its way to one user.
#[derive(Debug, Default)]
struct Mailbox {
    /// Messages that are in the store, or are being written there.
    stored: usize,
    stored_len: usize,
    /// Those of them that are being written.
    writing: BTreeSet<Sequence>,
    /// Acknowledged messages that the store has not dropped yet.
    undropped: BTreeSet<Sequence>,
    /// There while the user is online.
    delivery: Option<Delivery>,
    /// What was on its way when the last session ended: its client may have shown it, and may still say so.
    late: Option<Late>,
}

#[derive(Debug)]
struct Late {
    conn: ConnId,
    messages: BTreeMap<(Username, MessageId), (Sequence, usize)>,
}

/// The delivery over one connection.
#[derive(Debug)]
struct Delivery {
    conn: ConnId,
    backlog: Backlog,
    /// In order; the first `in_flight` were sent and wait for their acknowledgement.
    queue: VecDeque<Parcel>,
    in_flight: usize,
    in_flight_len: usize,
    /// Messages that are not in the store, nor being written there, and their bytes of text.
    unkept: usize,
    unkept_len: usize,
    /// What came while older messages are still being fetched from the store.
    fresh: VecDeque<Parcel>,
    /// Bytes of all parcels' followers.
    followers_len: usize,
}

/// How far the messages that waited in the store have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    /// All of them were sent.
    Sent,
    /// A page of them was asked for.
    Loading,
    /// A page of them is in the queue.
    Page { last: Sequence, more: bool },
}

#[derive(Debug)]
struct Parcel {
    message: StoredMessage,
    /// It waited in the store for this log-in.
    offline: bool,
    /// It is in the store, or being written there.
    kept: bool,
    /// When its sender began to wait.
    since: MonoMs,
    /// Broadcasts of the same sender that came while this could not be sent: they keep their place behind it.
    followers: Vec<Frame>,
}

impl PostOffice {
    /// As the last process left it.
    pub(super) fn recover(
        last_sequence: Sequence,
        mailboxes: Vec<(Username, usize, usize)>,
        known_ids: Vec<KnownId>,
        limits: &Limits,
    ) -> Self {
        let mailbox =
            |(user, stored, stored_len)| (user, Mailbox { stored, stored_len, ..Mailbox::default() });
        Self {
            mailboxes: mailboxes.into_iter().map(mailbox).collect(),
            known: KnownIds::recover(known_ids, limits.known_ids_per_sender_max),
            last_sequence,
            patience: BTreeSet::new(),
        }
    }

    /// Answers a message that came before, if it is one: whatever has changed since, it has its fate.
    pub(super) fn recall(
        &mut self,
        desk: &mut Desk<'_>,
        letter: &Letter<'_>,
        waiter: Waiter,
    ) -> Result<bool, ErrorCode> {
        let Letter { from, to, id, text } = *letter;
        let Some((digest, fate)) = self.known.get(from, id) else { return Ok(false) };
        if digest != Digest::of(Some(to), text) || !self.known.set_waiter(from, id, waiter) {
            return Err(ErrorCode::IdReused);
        }
        desk.tell_fate(waiter, fate);
        Ok(true)
    }

    /// Takes a new message in. An error is the whole answer; otherwise the waiter is told later.
    pub(super) fn post(
        &mut self,
        desk: &mut Desk<'_>,
        letter: &Letter<'_>,
        waiter: Waiter,
    ) -> Result<(), ErrorCode> {
        let Letter { from, to, id, text } = *letter;
        if self.known.pending(from) >= desk.limits.unconfirmed_per_sender_max {
            return Err(ErrorCode::Quota);
        }
        let mailbox = self.mailboxes.entry(to.clone()).or_default();
        let (count, len) = mailbox.load();
        if count >= desk.limits.mailbox_messages_max || len + text.len() > desk.limits.mailbox_len_max {
            return Err(ErrorCode::MailboxFull);
        }
        if mailbox.delivery.is_none() && desk.ledger.text_len() >= desk.limits.unwritten_len_max {
            return Err(ErrorCode::StoreFailed);
        }
        let fate = Fate::Pending(waiter);
        let digest = Digest::of(Some(to), text);
        self.known.insert(from, id, digest, fate, desk.limits.known_ids_per_sender_max);
        self.last_sequence = Sequence(self.last_sequence.0 + 1);
        let message = StoredMessage {
            sequence: self.last_sequence,
            from: from.clone(),
            id,
            sent_at: desk.now.wall,
            text: Arc::from(text),
        };
        let parcel =
            Parcel { message, offline: false, kept: false, since: desk.now.mono, followers: Vec::new() };
        match &mut mailbox.delivery {
            None => mailbox.keep(desk, &mut self.known, to, &parcel.message),
            Some(delivery) => {
                delivery.unkept += 1;
                delivery.unkept_len += text.len();
                if delivery.backlog == Backlog::Sent {
                    delivery.queue.push_back(parcel);
                } else {
                    delivery.fresh.push_back(parcel);
                }
                delivery.pump(desk, to);
                self.arm_patience(desk, to);
            }
        }
        Ok(())
    }

    /// Refuses a message, and when it comes again. An id that stands for another message keeps its fate.
    pub(super) fn refuse(
        &mut self,
        desk: &mut Desk<'_>,
        (from, id, digest): (&Username, MessageId, Digest),
        waiter: Waiter,
        code: ErrorCode,
    ) {
        if self.known.get(from, id).is_none() {
            let count_max = desk.limits.known_ids_per_sender_max;
            self.known.insert(from, id, digest, Fate::Refused(code), count_max);
        }
        desk.refuse(waiter, code);
    }

    /// Remembers a broadcast, or tells what became of it when it came before.
    pub(super) fn known_broadcast(
        &self,
        from: &Username,
        id: MessageId,
        text: &str,
    ) -> Result<Option<Fate>, ErrorCode> {
        match self.known.get(from, id) {
            Some((known, _)) if known != Digest::of(None, text) => Err(ErrorCode::IdReused),
            Some((_, fate)) => Ok(Some(fate)),
            None => Ok(None),
        }
    }

    /// Puts a broadcast behind the messages of its sender that still wait to be sent to this user, so that it does
    /// not overtake them. False if none waits, or if so much follows already that the outbox's limits must decide.
    pub(super) fn follow(&mut self, to: &Username, from: &Username, frame: &Frame, limits: &Limits) -> bool {
        let Some(delivery) = self.mailboxes.get_mut(to).and_then(|mailbox| mailbox.delivery.as_mut()) else {
            return false;
        };
        let unsent = delivery.queue.iter_mut().skip(delivery.in_flight).chain(&mut delivery.fresh);
        let Some(last) = unsent.filter(|parcel| parcel.message.from == *from).last() else { return false };
        if delivery.followers_len + frame.len() > limits.outbox_len_soft {
            return false;
        }
        delivery.followers_len += frame.len();
        last.followers.push(frame.clone());
        true
    }

    pub(super) fn remember_broadcast(
        &mut self,
        desk: &mut Desk<'_>,
        from: &Username,
        id: MessageId,
        text: &str,
        fate: KnownFate,
    ) {
        let (digest, memory) = (Digest::of(None, text), desk.memory());
        self.known.insert(from, id, digest, fate.into(), memory.count_max);
        let known = self.known.record(from, id, digest, fate, memory);
        desk.ledger.note(StoreOperation::Remember(known));
    }

    /// The recipient's client has shown a message. False if none of that name was on its way.
    pub(super) fn acked(
        &mut self,
        desk: &mut Desk<'_>,
        user: &Username,
        from: &Username,
        id: MessageId,
    ) -> bool {
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return false };
        let Some(delivery) = &mut mailbox.delivery else { return false };
        let Some(parcel) = delivery.take_sent(from, id) else { return false };
        if parcel.kept {
            let sequence = parcel.message.sequence;
            mailbox.writing.remove(&sequence);
            mailbox.stored -= 1;
            mailbox.stored_len -= parcel.message.text.len();
            mailbox.undropped.insert(sequence);
            desk.drop_message(user, sequence);
        } else {
            delivery.unkept -= 1;
            delivery.unkept_len -= parcel.message.text.len();
        }
        desk.tell_delivered(&mut self.known, from, id);
        delivery.pump(desk, user);
        true
    }

    /// The user has logged in: what waited for him comes before anything else.
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>, user: &Username, conn: ConnId) {
        let mailbox = self.mailboxes.entry(user.clone()).or_default();
        let mut delivery = Delivery {
            conn,
            backlog: Backlog::Sent,
            queue: VecDeque::new(),
            in_flight: 0,
            in_flight_len: 0,
            unkept: 0,
            unkept_len: 0,
            fresh: VecDeque::new(),
            followers_len: 0,
        };
        if mailbox.stored > 0 {
            desk.sessions.hold(conn);
            delivery.load(desk, user, Sequence(0));
        } else {
            delivery.say_ready(desk);
        }
        mailbox.delivery = Some(delivery);
        // From here on these messages are this session's to acknowledge.
        mailbox.late = None;
    }

    /// A page of waiting messages was read; `None`: it could not be.
    pub(super) fn loaded(
        &mut self,
        desk: &mut Desk<'_>,
        user: &Username,
        conn: ConnId,
        page: Option<MailboxPage>,
    ) {
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return };
        let Some(delivery) = mailbox.delivery.as_mut().filter(|delivery| delivery.conn == conn) else {
            return;
        };
        if delivery.backlog != Backlog::Loading {
            return;
        }
        let page = page.unwrap_or_else(|| {
            let text = "The messages that waited for you cannot be read now; they come at a later log-in.";
            desk.sessions.tell(conn, &ServerFrame::Notice { text }, desk.now.mono, desk.limits);
            MailboxPage::default()
        });
        let last = page.messages.last().map(|message| message.sequence);
        delivery.backlog = match last {
            Some(last) => Backlog::Page { last, more: page.more },
            None => Backlog::Page { last: Sequence(0), more: false },
        };
        let since = desk.now.mono;
        // What was written down since the log-in comes with the fresh ones.
        let fresh: BTreeSet<Sequence> = delivery.fresh.iter().map(|parcel| parcel.message.sequence).collect();
        let waited = page.messages.into_iter().filter(|message| {
            !fresh.contains(&message.sequence) && !mailbox.undropped.contains(&message.sequence)
        });
        delivery.queue.extend(waited.map(|message| Parcel {
            message,
            offline: true,
            kept: true,
            since,
            followers: Vec::new(),
        }));
        delivery.pump(desk, user);
    }

    /// The user is gone: what he has not acknowledged goes to the store.
    pub(super) fn ended(&mut self, desk: &mut Desk<'_>, user: &Username) {
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return };
        let Some(delivery) = mailbox.delivery.take() else { return };
        for parcel in delivery.queue.iter().chain(&delivery.fresh).filter(|parcel| !parcel.kept) {
            mailbox.keep(desk, &mut self.known, user, &parcel.message);
        }
        let in_flight = delivery.queue.iter().take(delivery.in_flight).map(|parcel| &parcel.message);
        let messages: BTreeMap<_, _> =
            in_flight.map(|m| ((m.from.clone(), m.id), (m.sequence, m.text.len()))).collect();
        mailbox.late = (!messages.is_empty()).then_some(Late { conn: delivery.conn, messages });
        self.tidy(user);
    }

    /// A client whose session is over had shown a message all the same: it must not be shown again.
    pub(super) fn acked_late(
        &mut self,
        desk: &mut Desk<'_>,
        user: &Username,
        from: &Username,
        id: MessageId,
    ) {
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return };
        let late = mailbox.late.as_mut().and_then(|late| late.messages.remove(&(from.clone(), id)));
        let Some((sequence, text_len)) = late else { return };
        mailbox.writing.remove(&sequence);
        mailbox.stored -= 1;
        mailbox.stored_len -= text_len;
        mailbox.undropped.insert(sequence);
        desk.drop_message(user, sequence);
        desk.tell_delivered(&mut self.known, from, id);
    }

    /// The connection of a session that was over has closed.
    pub(super) fn last_words_over(&mut self, user: &Username, conn: ConnId) {
        if let Some(mailbox) = self.mailboxes.get_mut(user) {
            mailbox.late.take_if(|late| late.conn == conn);
        }
        self.tidy(user);
    }

    /// The timer for this user fired: who waited too long is told `stored` once that is true.
    pub(super) fn patience_over(&mut self, desk: &mut Desk<'_>, user: &Username) {
        self.patience.remove(user);
        let Some(mailbox) = self.mailboxes.get_mut(user) else { return };
        let Some(delivery) = &mut mailbox.delivery else { return };
        let mut late = Vec::new();
        let (now, patience) = (desk.now.mono, desk.limits.delivery_patience);
        let is_due = |parcel: &Parcel| !parcel.kept && parcel.since.after(patience) <= now;
        // With one that is due go those before it, whose turn would come again later: the store keeps the order.
        let all = delivery.queue.iter().chain(&delivery.fresh);
        let due_count =
            all.enumerate().filter(|(_, parcel)| is_due(parcel)).last().map_or(0, |(at, _)| at + 1);
        for parcel in delivery.queue.iter_mut().chain(&mut delivery.fresh).take(due_count) {
            if !parcel.kept {
                parcel.kept = true;
                delivery.unkept -= 1;
                delivery.unkept_len -= parcel.message.text.len();
                late.push(parcel.message.clone());
            }
        }
        for message in late {
            mailbox.keep(desk, &mut self.known, user, &message);
        }
        self.arm_patience(desk, user);
    }

    /// The store has answered for a message.
    pub(super) fn kept(
        &mut self,
        desk: &mut Desk<'_>,
        durable: bool,
        to: &Username,
        message: (&Username, MessageId, Sequence),
        text_len: usize,
    ) {
        let (from, id, sequence) = message;
        let Some(mailbox) = self.mailboxes.get_mut(to).filter(|mailbox| mailbox.writing.contains(&sequence))
        else {
            // Acknowledged meanwhile.
            return;
        };
        mailbox.writing.remove(&sequence);
        if durable {
            if let Some((waiter, _)) = self.known.settle(from, id, Fate::Stored) {
                desk.tell_fate(waiter, Fate::Stored);
            }
            return;
        }
        mailbox.stored -= 1;
        mailbox.stored_len -= text_len;
        if let Some(late) = &mut mailbox.late {
            late.messages.remove(&(from.clone(), id));
        }
        let returned =
            mailbox.delivery.as_mut().is_some_and(|delivery| delivery.keep_no_more(sequence, desk.now.mono));
        if returned {
            // The recipient may still acknowledge it; the store is tried again when patience runs out again.
            self.arm_patience(desk, to);
        } else {
            let refused = Fate::Refused(ErrorCode::StoreFailed);
            if let Some((waiter, _)) = self.known.settle(from, id, refused) {
                desk.tell_fate(waiter, refused);
            }
            self.tidy(to);
        }
    }

    /// The store has dropped a message.
    pub(super) fn dropped(&mut self, user: &Username, sequence: Sequence) {
        if let Some(mailbox) = self.mailboxes.get_mut(user) {
            mailbox.undropped.remove(&sequence);
        }
        self.tidy(user);
    }

    fn arm_patience(&mut self, desk: &mut Desk<'_>, user: &Username) {
        if self.patience.contains(user) {
            return;
        }
        let Some(delivery) = self.mailboxes.get(user).and_then(|mailbox| mailbox.delivery.as_ref()) else {
            return;
        };
        let waiting = delivery.queue.iter().chain(&delivery.fresh).filter(|parcel| !parcel.kept);
        if let Some(oldest) = waiting.map(|parcel| parcel.since).min() {
            let timer = Timer::Patience(user.clone());
            desk.sessions.arm_other(timer, oldest.after(desk.limits.delivery_patience));
            self.patience.insert(user.clone());
        }
    }

    /// A mailbox with nothing in it takes no memory.
    fn tidy(&mut self, user: &Username) {
        let is_empty = |mailbox: &Mailbox| {
            let is_used = mailbox.delivery.is_some() || mailbox.late.is_some();
            mailbox.stored == 0 && mailbox.undropped.is_empty() && !is_used
        };
        if self.mailboxes.get(user).is_some_and(is_empty) {
            self.mailboxes.remove(user);
        }
    }
}

impl Mailbox {
    /// Has a message written to the store; its sender is told when it is there.
    fn keep(&mut self, desk: &mut Desk<'_>, known: &mut KnownIds, user: &Username, message: &StoredMessage) {
        let digest = Digest::of(Some(user), &message.text);
        let known = known.record(&message.from, message.id, digest, KnownFate::Stored, desk.memory());
        let text_len = message.text.len();
        self.stored += 1;
        self.stored_len += text_len;
        self.writing.insert(message.sequence);
        desk.ledger.promise(
            StoreOperation::Keep { to: user.clone(), message: message.clone(), known },
            Promise::Kept {
                to: user.clone(),
                sequence: message.sequence,
                from: message.from.clone(),
                id: message.id,
                text_len,
            },
        );
    }

    /// How many messages, and bytes of text, count against the user's quota.
    fn load(&self) -> (usize, usize) {
        let (unkept, unkept_len) = self.delivery.as_ref().map_or((0, 0), |d| (d.unkept, d.unkept_len));
        (self.stored + unkept, self.stored_len + unkept_len)
    }
}

impl Delivery {
    /// Sends what the window allows, fetches the next page, and after the last lets everything else go.
    fn pump(&mut self, desk: &mut Desk<'_>, user: &Username) {
        loop {
            self.send(desk);
            if self.in_flight < self.queue.len() {
                return;
            }
            match self.backlog {
                Backlog::Sent | Backlog::Loading => return,
                Backlog::Page { last, more: true } => return self.load(desk, user, last),
                Backlog::Page { more: false, .. } => {
                    self.backlog = Backlog::Sent;
                    self.say_ready(desk);
                    desk.sessions.release(self.conn, desk.now.mono, desk.limits);
                    self.queue.append(&mut self.fresh);
                }
            }
        }
    }

    fn send(&mut self, desk: &mut Desk<'_>) {
        while let Some(parcel) = self.queue.get_mut(self.in_flight) {
            let StoredMessage { from, id, sent_at, text, .. } = &parcel.message;
            let fits = self.in_flight < desk.limits.in_flight_messages_max
                && self.in_flight_len + text.len() <= desk.limits.in_flight_len_max;
            if !fits && self.in_flight > 0 {
                return;
            }
            let frame = ServerFrame::Deliver {
                from: from.clone(),
                id: *id,
                sent_at: *sent_at,
                offline: parcel.offline,
                text,
            };
            self.in_flight += 1;
            self.in_flight_len += text.len();
            let (frame, followers) = (frame.encode(), std::mem::take(&mut parcel.followers));
            desk.sessions.send_now(self.conn, frame, Lane::Direct, desk.now.mono, desk.limits);
            for frame in followers {
                self.followers_len -= frame.len();
                desk.sessions.send(self.conn, frame, Lane::Bulk, desk.now.mono, desk.limits);
            }
        }
    }

    /// What waited comes first, and this says that it did.
    fn say_ready(&self, desk: &mut Desk<'_>) {
        let frame = ServerFrame::Ready.encode();
        desk.sessions.send_now(self.conn, frame, Lane::Direct, desk.now.mono, desk.limits);
    }

    /// The store does not have that message after all. Whether it is still on its way.
    fn keep_no_more(&mut self, sequence: Sequence, now: MonoMs) -> bool {
        let mut all = self.queue.iter_mut().chain(&mut self.fresh);
        let Some(parcel) = all.find(|parcel| parcel.message.sequence == sequence) else { return false };
        parcel.kept = false;
        parcel.since = now;
        self.unkept += 1;
        self.unkept_len += parcel.message.text.len();
        true
    }

    fn take_sent(&mut self, from: &Username, id: MessageId) -> Option<Parcel> {
        let mut sent = self.queue.iter().take(self.in_flight);
        let at = sent.position(|parcel| parcel.message.id == id && parcel.message.from == *from)?;
        let parcel = self.queue.remove(at)?;
        self.in_flight -= 1;
        self.in_flight_len -= parcel.message.text.len();
        Some(parcel)
    }

    fn load(&mut self, desk: &mut Desk<'_>, user: &Username, after: Sequence) {
        self.backlog = Backlog::Loading;
        desk.sessions.push_effect(Effect::Load {
            conn: self.conn,
            user: user.clone(),
            after,
            len_max: desk.limits.in_flight_len_max,
        });
    }
}

impl Desk<'_> {
    /// Has the store forget a message.
    fn drop_message(&mut self, user: &Username, sequence: Sequence) {
        self.ledger.note(StoreOperation::Drop { to: user.clone(), sequence });
    }

    /// A message was acknowledged. If its sender has had no answer yet he gets it now, and the store remembers
    /// it: he does not wait for that, since the recipient's client knows the message again too.
    fn tell_delivered(&mut self, known: &mut KnownIds, from: &Username, id: MessageId) {
        if let Some((waiter, digest)) = known.settle(from, id, Fate::Delivered) {
            self.tell_fate(waiter, Fate::Delivered);
            let known = known.record(from, id, digest, KnownFate::Delivered, self.memory());
            self.ledger.note(StoreOperation::Remember(known));
        }
    }

    fn memory(&self) -> Memory {
        let until = UnixMs(MonoMs(self.now.wall.0).after(self.limits.known_ids_life).0);
        Memory { until, count_max: self.limits.known_ids_per_sender_max }
    }

    /// Tells a sender how his message ended.
    pub(super) fn tell_fate(&mut self, waiter: Waiter, fate: Fate) {
        let request = waiter.request;
        let frame = match fate {
            Fate::Pending(_) => return,
            Fate::Stored => ServerFrame::Stored { request },
            Fate::Delivered => ServerFrame::Delivered { request },
            Fate::Sent { recipients, blocked } => ServerFrame::Sent { request, recipients, blocked },
            Fate::Refused(code) => return self.refuse(waiter, code),
        };
        self.sessions.tell(waiter.conn, &frame, self.now.mono, self.limits);
    }

    /// Tells a requester that his request failed.
    pub(super) fn refuse(&mut self, waiter: Waiter, code: ErrorCode) {
        let text = super::refusal::text(code);
        let frame = ServerFrame::Refused { request: waiter.request, code, text };
        self.sessions.tell(waiter.conn, &frame, self.now.mono, self.limits);
    }
}
