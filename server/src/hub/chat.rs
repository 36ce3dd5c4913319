//! The commands of a user who is logged in, except those that end his session.
//!
//! Owns what each command checks, in the contract's order, and answers. Must not know connections' states.

use core::time::Duration;

use protocol::{ErrorCode, MessageId, RequestId, ServerFrame, Username, limits::TEXT_LEN_MAX};

use super::{
    accounts::Accounts,
    blocks::Blocks,
    durable::KnownFate,
    effect::StoreOperation,
    known_ids::{Digest, Waiter},
    ledger::Promise,
    post::{Desk, Letter, PostOffice},
    presence::{Presence, by_len},
    sessions::Lane,
};

/// Who asks.
pub(super) struct Asker<'a> {
    pub(super) user: &'a Username,
    pub(super) waiter: Waiter,
}

/// Answers now, or leaves it to the post office.
pub(super) fn message(
    desk: &mut Desk<'_>,
    (accounts, blocks, post): (&Accounts, &Blocks, &mut PostOffice),
    asker: &Asker<'_>,
    (to, id, text): (&Username, MessageId, &str),
) {
    let letter = Letter { from: asker.user, to, id, text };
    let checked = post.recall(desk, &letter, asker.waiter).and_then(|is_known| {
        if is_known {
            return Ok(());
        }
        check_other(accounts, asker.user, to)?;
        if blocks.has_blocked(to, asker.user) {
            return Err(ErrorCode::Blocked);
        }
        check_text(text)?;
        post.post(desk, &letter, asker.waiter)
    });
    if let Err(code) = checked {
        let known = (asker.user, id, Digest::of(Some(to), text));
        post.refuse(desk, known, asker.waiter, code);
    }
}

/// Sends to everyone online who has not blocked the sender.
pub(super) fn broadcast(
    desk: &mut Desk<'_>,
    (presence, blocks, post): (&Presence, &Blocks, &mut PostOffice),
    asker: &Asker<'_>,
    (id, text): (MessageId, &str),
) {
    let checked = check_text(text).and_then(|()| post.known_broadcast(asker.user, id, text));
    match checked {
        Err(code) => {
            let known = (asker.user, id, Digest::of(None, text));
            return post.refuse(desk, known, asker.waiter, code);
        }
        Ok(Some(fate)) => return desk.tell_fate(asker.waiter, fate),
        Ok(None) => {}
    }
    let frame = ServerFrame::Announce { from: asker.user.clone(), id, sent_at: desk.now.wall, text }.encode();
    let (mut recipients, mut blocked) = (0, false);
    for (user, conn) in presence.online().filter(|&(user, _)| user != asker.user) {
        if blocks.has_blocked(user, asker.user) {
            blocked = true;
        } else {
            recipients += 1;
            if post.follow(user, asker.user, &frame, desk.limits) {
                continue;
            }
            desk.sessions.send(conn, frame.clone(), Lane::Bulk, desk.now.mono, desk.limits);
        }
    }
    let fate = KnownFate::Sent { recipients, blocked };
    post.remember_broadcast(desk, asker.user, id, text, fate);
    desk.tell_fate(asker.waiter, fate.into());
}

pub(super) fn whoelse(desk: &mut Desk<'_>, presence: &Presence, asker: &Asker<'_>) {
    let others = presence.online().map(|(user, _)| user).filter(|&user| user != asker.user);
    let users: Vec<Username> = others.cloned().collect();
    tell_users(desk, asker.waiter, &users);
}

pub(super) fn whoelsesince(desk: &mut Desk<'_>, presence: &Presence, asker: &Asker<'_>, seconds: u64) {
    let mut users = presence.since(desk.now.mono, Duration::from_secs(seconds));
    users.retain(|user| user != asker.user);
    tell_users(desk, asker.waiter, &users);
}

/// Blocks play no part: presence does not show them either.
pub(super) fn lookup(
    desk: &mut Desk<'_>,
    (accounts, presence): (&Accounts, &Presence),
    asker: &Asker<'_>,
    user: &Username,
) {
    let checked = check_other(accounts, asker.user, user)
        .and_then(|()| presence.conn(user).map(|_| ()).ok_or(ErrorCode::Offline));
    match checked {
        Ok(()) => {
            let frame = ServerFrame::Done { request: asker.waiter.request };
            desk.sessions.tell(asker.waiter.conn, &frame, desk.now.mono, desk.limits);
        }
        Err(code) => desk.refuse(asker.waiter, code),
    }
}

pub(super) fn blocklist(desk: &mut Desk<'_>, blocks: &Blocks, asker: &Asker<'_>) {
    let users: Vec<Username> = blocks.list(asker.user).cloned().collect();
    tell_users(desk, asker.waiter, &users);
}

/// In force at once, answered when it is durable, undone if that fails. A refusal because it is in force already must
/// not come before that is durable: whoever asks again, having lost the connection, takes it for his answer.
pub(super) fn block(
    desk: &mut Desk<'_>,
    (accounts, blocks): (&Accounts, &mut Blocks),
    asker: &Asker<'_>,
    user: Username,
) {
    let by = asker.user.clone();
    let is_repeated = blocks.has_blocked(&by, &user);
    let checked = check_other(accounts, &by, &user).and_then(|()| {
        if is_repeated && !blocks.is_unsettled(&by, &user) {
            Err(ErrorCode::AlreadyBlocked)
        } else if !is_repeated && blocks.len(&by) >= desk.limits.blocked_max || blocks.is_churned(&by, &user)
        {
            Err(ErrorCode::Quota)
        } else {
            Ok(())
        }
    });
    if let Err(code) = checked {
        return desk.refuse(asker.waiter, code);
    }
    blocks.change(&by, &user, true);
    let Waiter { conn, request } = asker.waiter;
    desk.ledger.promise(
        StoreOperation::Block { by: by.clone(), user: user.clone() },
        Promise::Blocked { conn, request, by, user, is_repeated },
    );
}

/// In force at once, answered when it is durable, undone if that fails; see [`block`].
pub(super) fn unblock(
    desk: &mut Desk<'_>,
    (accounts, blocks): (&Accounts, &mut Blocks),
    asker: &Asker<'_>,
    user: Username,
) {
    let by = asker.user.clone();
    let is_repeated = !blocks.has_blocked(&by, &user);
    // A user whose account is gone can still be taken off the list.
    let checked = if blocks.is_churned(&by, &user) {
        Err(ErrorCode::Quota)
    } else if !is_repeated || blocks.is_unsettled(&by, &user) {
        Ok(())
    } else {
        check_other(accounts, &by, &user).and(Err(ErrorCode::NotBlocked))
    };
    if let Err(code) = checked {
        return desk.refuse(asker.waiter, code);
    }
    blocks.change(&by, &user, false);
    let Waiter { conn, request } = asker.waiter;
    desk.ledger.promise(
        StoreOperation::Unblock { by: by.clone(), user: user.clone() },
        Promise::Unblocked { conn, request, by, user, is_repeated },
    );
}

/// The store has answered for a block or an unblock. `repeated`: it was so before, and this is what says so.
pub(super) fn settle_block(desk: &mut Desk<'_>, durable: bool, waiter: Waiter, repeated: Option<ErrorCode>) {
    match repeated {
        _ if !durable => desk.refuse(waiter, ErrorCode::StoreFailed),
        Some(code) => desk.refuse(waiter, code),
        None => {
            let frame = ServerFrame::Done { request: waiter.request };
            desk.sessions.tell(waiter.conn, &frame, desk.now.mono, desk.limits);
        }
    }
}

pub(super) fn check_other(accounts: &Accounts, me: &Username, other: &Username) -> Result<(), ErrorCode> {
    if me == other {
        Err(ErrorCode::Myself)
    } else if accounts.exists(other) {
        Ok(())
    } else {
        Err(ErrorCode::UnknownUser)
    }
}

fn check_text(text: &str) -> Result<(), ErrorCode> {
    if text.trim().is_empty() {
        Err(ErrorCode::EmptyMessage)
    } else if text.len() > TEXT_LEN_MAX {
        Err(ErrorCode::TooLong)
    } else {
        Ok(())
    }
}

fn tell_users(desk: &mut Desk<'_>, waiter: Waiter, users: &[Username]) {
    let request: RequestId = waiter.request;
    let groups = by_len(users, |user| user.as_str().len() + 1);
    let mut frames: Vec<_> = groups
        .into_iter()
        .map(|group| ServerFrame::Users { request, more: true, users: group.to_vec() })
        .collect();
    match frames.last_mut() {
        Some(ServerFrame::Users { more, .. }) => *more = false,
        _ => frames.push(ServerFrame::Users { request, more: false, users: Vec::new() }),
    }
    for frame in frames {
        desk.sessions.tell(waiter.conn, &frame, desk.now.mono, desk.limits);
    }
}
