//! What the hub tells, it tells when it is durable, and a hub that starts anew goes on where the last one was
//! (threats 14, 15, 34, 37, 39, 40). The store is a hand here: it takes batches, or does not.

use core::time::Duration;

use protocol::{ClientFrame, MessageId, RequestId, time::UnixMs};
use server::hub::{
    ConnId, Limits, MailboxPage, Recovered, StoreOperation, StoredMessage, Tried, TriesRecord,
};

use crate::rig::{RIGHT, Rig};

fn message(rig: &mut Rig, conn: ConnId, request: u32, id: u32, text: &str) -> Vec<String> {
    let to = "grace".parse().unwrap();
    rig.say(conn, &ClientFrame::Message { request: RequestId(request), to, id: MessageId(id.into()), text })
}

fn ack(rig: &mut Rig, conn: ConnId, id: u32) -> Vec<String> {
    rig.say(conn, &ClientFrame::Ack { from: "ada".parse().unwrap(), id: MessageId(id.into()) })
}

/// The hub's answer to a right or a wrong password.
fn try_password(rig: &mut Rig, name: &str, right: bool) -> String {
    rig.verdict("127.0.0.1", name, if right { RIGHT } else { "stencil" })
}

/// What a store holds that took these, as far as the tests here need it.
fn recovered(operations: &[StoreOperation]) -> Recovered {
    let mut recovered = Recovered::empty([7; 32]);
    for operation in operations {
        match operation.clone() {
            StoreOperation::Keep { to, message, known } => {
                recovered.last_sequence = message.sequence;
                recovered.mailboxes.push((to, 1, message.text.len()));
                recovered.known_ids.push(known);
            }
            StoreOperation::Remember(known) => recovered.known_ids.push(known),
            StoreOperation::Block { by, user } => recovered.blocks.push((by, user)),
            StoreOperation::LastSeen { user, at, .. } => {
                recovered.last_seen.retain(|(seen, _)| *seen != user);
                recovered.last_seen.push((user, at));
            }
            StoreOperation::Tries { who, record } => {
                recovered.tries.retain(|(tried, _)| *tried != who);
                recovered.tries.push((who, record));
            }
            _ => {}
        }
    }
    recovered
}

/// The first message that the store has taken.
fn kept(rig: &Rig) -> StoredMessage {
    let message = |operation: &StoreOperation| match operation {
        StoreOperation::Keep { message, .. } => Some(message.clone()),
        _ => None,
    };
    rig.written.iter().find_map(message).unwrap()
}

#[test]
fn nothing_is_confirmed_before_it_is_durable() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    rig.settle(true);
    assert!(message(&mut rig, ada, 1, 1, "hello").is_empty());
    let block = ClientFrame::Block { request: RequestId(2), user: "grace".parse().unwrap() };
    assert!(rig.say(ada, &block).is_empty());
    rig.settle(true);
    assert_eq!(rig.heard(ada), ["stored 1", "done 2"]);
}

#[test]
fn what_could_not_be_written_is_refused_and_stays_so() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    rig.settle(true);
    message(&mut rig, ada, 1, 1, "hello");
    rig.say(ada, &ClientFrame::Block { request: RequestId(2), user: "grace".parse().unwrap() });
    rig.settle(false);
    let heard = rig.heard(ada);
    assert!(
        heard[0].starts_with("refused 1 store-failed\n") && heard[1].starts_with("refused 2 store-failed\n")
    );
    // Nothing claims that nothing has happened: somebody may have seen the message.
    assert!(heard[0].contains("may have been shown"), "{heard:?}");
    assert_eq!(rig.say(ada, &ClientFrame::BlockList { request: RequestId(3) }), ["users 3 0"], "{heard:?}");
    assert!(message(&mut rig, ada, 4, 1, "hello")[0].starts_with("refused 4 store-failed\n"));
    assert!(message(&mut rig, ada, 5, 2, "hello").is_empty(), "another id is another message");
    rig.settle(true);
    assert_eq!(rig.heard(ada), ["stored 5"]);
}

#[test]
fn a_resend_of_what_was_refused_is_refused_again_though_it_could_be_taken_now() {
    let limits = Limits { known_ids_per_sender_max: 3, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.say(grace, &ClientFrame::Block { request: RequestId(1), user: "ada".parse().unwrap() });
    rig.settle(true);
    rig.heard(ada);
    assert!(message(&mut rig, ada, 1, 1, "hello")[0].starts_with("refused 1 blocked\n"));
    rig.say(grace, &ClientFrame::Unblock { request: RequestId(2), user: "ada".parse().unwrap() });
    rig.settle(true);
    rig.heard(grace);
    assert!(message(&mut rig, ada, 2, 1, "hello")[0].starts_with("refused 2 blocked\n"));
    assert!(message(&mut rig, ada, 3, 1, "another")[0].starts_with("refused 3 id-reused\n"));
    assert!(message(&mut rig, ada, 4, 1, "hello")[0].starts_with("refused 4 blocked\n"), "its fate stays");
    let broadcast = |rig: &mut Rig, request, text: &str| {
        let frame = ClientFrame::Broadcast { request: RequestId(request), id: MessageId(9), text };
        rig.say(ada, &frame).remove(0)
    };
    assert!(broadcast(&mut rig, 5, " ").starts_with("refused 5 empty-message\n"));
    assert!(broadcast(&mut rig, 6, " ").starts_with("refused 6 empty-message\n"));
    assert!(broadcast(&mut rig, 7, "now").starts_with("refused 7 id-reused\n"));
    assert!(rig.heard(grace).is_empty());
    // No more of them are remembered than of others.
    for n in 10..13 {
        assert!(message(&mut rig, ada, n, n, " ")[0].starts_with(&format!("refused {n} empty-message\n")));
    }
    assert!(message(&mut rig, ada, 20, 1, "hello").is_empty());
    assert!(rig.heard(grace)[0].starts_with("deliver ada "));
}

#[test]
fn those_who_are_online_talk_on_while_the_store_fails() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.settle(false);
    rig.heard(ada);
    message(&mut rig, ada, 1, 1, "hello");
    assert!(rig.heard(grace)[0].starts_with("deliver ada "));
    ack(&mut rig, grace, 1);
    assert_eq!(rig.heard(ada), ["delivered 1"]);
}

#[test]
fn a_resend_to_the_next_hub_is_answered_and_not_taken_again() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    message(&mut rig, ada, 1, 1, "waits");
    rig.settle(true);
    let grace = rig.log_in("grace");
    rig.load(MailboxPage::default());
    message(&mut rig, ada, 2, 2, "goes straight through");
    ack(&mut rig, grace, 2);
    let broadcast = ClientFrame::Broadcast { request: RequestId(3), id: MessageId(3), text: "to all" };
    assert_eq!(rig.say(ada, &broadcast), ["delivered 2", "sent 3 1 0"]);
    rig.settle(true);

    let mut rig = Rig::recover(Limits::default(), recovered(&rig.written));
    let ada = rig.log_in("ada");
    rig.settle(true);
    rig.written.clear();
    assert_eq!(message(&mut rig, ada, 11, 1, "waits"), ["stored 11"]);
    assert_eq!(message(&mut rig, ada, 12, 2, "goes straight through"), ["delivered 12"]);
    let again = ClientFrame::Broadcast { request: RequestId(13), id: MessageId(3), text: "to all" };
    assert_eq!(rig.say(ada, &again), ["sent 13 1 0"]);
    for (request, id) in [(14, 1), (15, 2), (16, 3)] {
        assert!(
            message(&mut rig, ada, request, id, "another")[0]
                .starts_with(&format!("refused {request} id-reused"))
        );
    }
    rig.settle(true);
    assert_eq!(rig.written, []);
}

#[test]
fn an_acknowledged_message_is_dropped_when_the_store_works_again() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    message(&mut rig, ada, 1, 1, "hello");
    rig.settle(true);
    let kept = kept(&rig);
    let page = || MailboxPage { messages: vec![kept.clone()], more: false };
    let grace = rig.log_in("grace");
    rig.load(page());
    assert!(rig.heard(grace).iter().any(|body| body.starts_with("deliver ada ")));
    ack(&mut rig, grace, 1);
    rig.settle(false);
    let is_drop = |operation: &StoreOperation| matches!(operation, StoreOperation::Drop { .. });
    assert!(!rig.written.iter().any(is_drop));
    // It is still there, but he does not get it again.
    rig.say(grace, &ClientFrame::Logout { request: RequestId(1) });
    message(&mut rig, ada, 2, 2, "second");
    rig.settle(true);
    assert!(rig.written.iter().any(is_drop), "tried again after a batch that was taken");
}

#[test]
fn while_the_disk_stands_still_the_memory_does_not_fill() {
    let limits = Limits { unwritten_len_max: 10_000, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let ada = rig.log_in("ada");
    rig.settle(true);
    let text = "x".repeat(3_000);
    for n in 1..=4 {
        assert!(message(&mut rig, ada, n, n, &text).is_empty());
    }
    assert!(message(&mut rig, ada, 5, 5, &text)[0].starts_with("refused 5 store-failed"));
    rig.settle(true);
    assert_eq!(rig.heard(ada), ["stored 1", "stored 2", "stored 3", "stored 4"]);
    assert!(message(&mut rig, ada, 6, 6, &text).is_empty());
}

#[test]
fn a_lock_ends_when_it_would_have_whatever_the_wall_clock_does() {
    let locked = |rig: &mut Rig| try_password(rig, "ada", false).starts_with("login-refused locked");
    let mut rig = Rig::new(Limits::default());
    for _ in 0..2 {
        assert!(try_password(&mut rig, "ada", false).starts_with("login-refused bad-credentials"));
    }
    rig.settle(true);
    // Two tries before, one after a restart: it is the third.
    let mut rig = Rig::recover(Limits::default(), recovered(&rig.written));
    assert!(locked(&mut rig));
    rig.settle(true);
    rig.pass(Duration::from_secs(20));
    // Somebody sets the clock.
    rig.now.wall.0 += 3_600_000;
    rig.pass(Duration::from_millis(0));
    assert!(locked(&mut rig), "not while it runs");
    rig.settle(true);
    let recovered = recovered(&rig.written);
    let wall = rig.now.wall;
    assert_eq!(
        recovered.tries,
        [(
            Tried::Account("ada".parse().unwrap()),
            TriesRecord { wrong_in_a_row: 0, locked_until: Some(UnixMs(wall.0 + 40_000)) }
        )]
    );
    let mut rig = Rig::recover_at(Limits::default(), recovered.clone(), wall);
    assert!(locked(&mut rig));
    rig.pass(Duration::from_millis(39_999));
    assert!(try_password(&mut rig, "ada", true).starts_with("login-refused locked 1"));
    rig.pass(Duration::from_millis(1));
    assert!(try_password(&mut rig, "ada", true).starts_with("welcome"));
    // The clock was set back while no server ran: no longer than a new lock.
    let mut rig = Rig::recover_at(Limits::default(), recovered, UnixMs(0));
    rig.pass(Duration::from_millis(59_999));
    assert!(locked(&mut rig));
    rig.pass(Duration::from_millis(1));
    assert!(try_password(&mut rig, "ada", true).starts_with("welcome"));
    rig.settle(true);
    assert_eq!(self::recovered(&rig.written).tries[0].1, TriesRecord::default(), "and then forgotten");
}

#[test]
fn names_without_an_account_are_shown_the_same_salt_by_the_next_hub() {
    let shown = |secret| {
        let mut rig = Rig::recover(Limits::default(), Recovered::empty(secret));
        rig.challenged("127.0.0.1", "nobody").challenge.salt().to_vec()
    };
    assert_eq!(shown([1; 32]), shown([1; 32]));
    assert_ne!(shown([1; 32]), shown([2; 32]));
}

#[test]
fn who_was_here_before_is_known_to_the_next_hub() {
    let mut rig = Rig::new(Limits::default());
    let grace = rig.log_in("grace");
    rig.pass(Duration::from_secs(5));
    rig.say(grace, &ClientFrame::Logout { request: RequestId(1) });
    rig.settle(true);
    let wall = UnixMs(rig.now.wall.0 + 10_000);
    let mut rig = Rig::recover_at(Limits::default(), recovered(&rig.written), wall);
    let ada = rig.log_in("ada");
    rig.heard(ada);
    let mut since = |seconds| rig.say(ada, &ClientFrame::WhoElseSince { request: RequestId(1), seconds });
    assert_eq!(since(9), ["users 1 0"]);
    assert_eq!(since(10), ["users 1 0 grace"]);
}

#[test]
fn that_the_server_lives_is_written_down_while_somebody_is_here() {
    let mut rig =
        Rig::new(Limits { inactivity: None, keep_alive: Duration::from_secs(1_000), ..Limits::default() });
    rig.pass(Duration::from_secs(60));
    rig.settle(true);
    let is_alive = |operation: &StoreOperation| matches!(operation, StoreOperation::Alive { .. });
    assert!(!rig.written.iter().any(is_alive));
    rig.log_in("ada");
    rig.settle(true);
    rig.pass(Duration::from_secs(60));
    rig.settle(true);
    assert!(rig.written.iter().any(is_alive));
}

#[test]
fn waiting_messages_of_the_last_process_come_first() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    message(&mut rig, ada, 1, 1, "hello");
    rig.settle(true);
    let kept = kept(&rig);
    let mut rig = Rig::recover(Limits::default(), recovered(&rig.written));
    let grace = rig.log_in("grace");
    let ada = rig.log_in("ada");
    message(&mut rig, ada, 2, 2, "new");
    assert!(rig.heard(grace).is_empty(), "held back");
    rig.load(MailboxPage { messages: vec![StoredMessage::clone(&kept)], more: false });
    let heard = rig.heard(grace);
    let tags: Vec<_> = heard.iter().map(|body| body.split([' ', '\n']).next().unwrap()).collect();
    assert_eq!(tags, ["deliver", "ready", "presence", "deliver"], "{heard:?}");
    rig.settle(true);
    assert!(
        !rig.written
            .iter()
            .any(|o| matches!(o, StoreOperation::Keep { message, .. } if message.sequence <= kept.sequence))
    );
}

#[test]
fn that_a_block_stands_already_is_told_when_it_is_durable() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    rig.log_in("grace");
    rig.settle(true);
    rig.heard(ada);
    let user = || "grace".parse().unwrap();
    for (durable, first, again) in [
        (false, "refused 1 store-failed\n", "refused 2 store-failed\n"),
        (true, "done 1", "refused 2 already-blocked\n"),
    ] {
        assert!(rig.say(ada, &ClientFrame::Block { request: RequestId(1), user: user() }).is_empty());
        assert!(rig.say(ada, &ClientFrame::Block { request: RequestId(2), user: user() }).is_empty());
        rig.settle(durable);
        let heard = rig.heard(ada);
        assert!(heard[0].starts_with(first) && heard[1].starts_with(again), "{heard:?}");
    }
    for request in [3, 4] {
        assert!(rig.say(ada, &ClientFrame::Unblock { request: RequestId(request), user: user() }).is_empty());
    }
    rig.settle(true);
    let heard = rig.heard(ada);
    assert!(heard[0] == "done 3" && heard[1].starts_with("refused 4 not-blocked\n"), "{heard:?}");
}

#[test]
fn nobody_fills_memory_with_changes_that_a_slow_disk_does_not_take() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    rig.log_in("grace");
    rig.settle(true);
    rig.heard(ada);
    let mut refused = 0;
    for request in (0..100).step_by(2).map(RequestId) {
        let user = || "grace".parse().unwrap();
        let mut heard = rig.say(ada, &ClientFrame::Block { request, user: user() });
        heard.extend(rig.say(ada, &ClientFrame::Unblock { request: RequestId(request.0 + 1), user: user() }));
        refused += heard.iter().filter(|body| body.contains(" quota\n")).count();
    }
    assert!((50..100).contains(&refused), "{refused} of 100 were refused");
    rig.settle(true);
    assert_eq!(rig.heard(ada).len(), 100 - refused, "every other one has its answer");
}
