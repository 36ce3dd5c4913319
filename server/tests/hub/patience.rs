//! How long the hub puts up with those who are slow: at the log-in (threat 2), and at reading (threats 22, 23).

use std::time::Duration;

use protocol::{ClientFrame, MessageId, RequestId, ServerFrame};
use server::hub::Limits;

use crate::rig::Rig;

#[test]
fn a_log_in_that_drips_is_cut_off_by_its_deadline_whatever_comes() {
    let mut rig = Rig::new(Limits::default());
    let conn = rig.connect("127.0.0.1");
    let hello = ClientFrame::Hello { version: 1 }.encode();
    for byte in &hello.as_bytes()[..9] {
        rig.throw(conn, &[*byte]);
        assert!(rig.heard(conn).is_empty());
        rig.pass(Duration::from_secs(1));
    }
    rig.throw(conn, &hello.as_bytes()[9..10]);
    rig.pass(Duration::from_secs(1));
    let last = rig.heard(conn);
    assert!(last[0].starts_with("goodbye login\n"), "{last:?}");
}

#[test]
fn a_reader_that_stops_is_dropped_after_its_time_and_others_are_not() {
    let mut rig = Rig::new(Limits { outbox_len_soft: 10_000, ..Limits::default() });
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let text = "x".repeat(1_000);
    for n in 0..20 {
        let frame = ClientFrame::Broadcast { request: RequestId(n), id: MessageId(n.into()), text: &text };
        assert_eq!(rig.say(ada, &frame), [format!("sent {n} 1 0")]);
    }
    assert!(rig.waiting_len(grace) > 20_000);
    rig.pass(Duration::from_millis(9_999));
    assert!(rig.waiting_len(grace) > 20_000, "it still has time");
    rig.pass(Duration::from_millis(1));
    // What waited is thrown away for the last word.
    let goodbye = rig.heard(grace);
    assert!(goodbye[0].starts_with("goodbye too-slow\n"), "{goodbye:?}");
    let lost =
        ServerFrame::Presence { changes: vec![("grace".parse().unwrap(), protocol::PresenceChange::Lost)] };
    assert_eq!(rig.heard(ada), [String::from_utf8(lost.encode().body().to_vec()).unwrap()]);
}

#[test]
fn at_the_hard_limit_there_is_no_time() {
    let mut rig = Rig::new(Limits { outbox_len_hard: 10_000, outbox_len_soft: 5_000, ..Limits::default() });
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let text = "x".repeat(1_000);
    for n in 0..12 {
        let frame = ClientFrame::Broadcast { request: RequestId(n), id: MessageId(n.into()), text: &text };
        rig.say(ada, &frame);
        assert!(rig.waiting_len(grace) <= 10_000 + 1_100);
    }
    let goodbye = rig.heard(grace);
    assert!(goodbye.last().unwrap().starts_with("goodbye too-slow\n"), "{goodbye:?}");
}
