//! Tickets bring two clients together, within limits and not past a block.

use std::time::Duration;

use protocol::{ClientFrame, Fingerprint, Purpose, RequestId, Username};
use server::hub::{ConnId, Limits};

use crate::rig::{Rig, key};

fn invite(rig: &mut Rig, conn: ConnId, user: &str) -> String {
    let user: Username = user.parse().unwrap();
    let frame = ClientFrame::Invite { request: RequestId(1), user, purpose: Purpose::Talk };
    rig.say(conn, &frame).remove(0)
}

#[test]
fn both_sides_get_the_same_ticket_and_each_the_others_key() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let ticket = invite(&mut rig, ada, "grace");
    let [tag, request, id, shown] = ticket.split(' ').collect::<Vec<_>>()[..] else { panic!("{ticket}") };
    assert_eq!((tag, request, shown.parse::<Fingerprint>()), ("ticket", "1", Ok(key(1))));
    assert_eq!(rig.heard(grace), [format!("expect {id} ada {} talk", key(0))]);
    assert_ne!(invite(&mut rig, ada, "grace"), ticket, "each ticket is new");
}

#[test]
fn nobody_is_brought_where_he_may_not_go() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    assert!(invite(&mut rig, ada, "ada").starts_with("refused 1 self"));
    assert!(invite(&mut rig, ada, "nobody").starts_with("refused 1 unknown-user"));
    assert!(invite(&mut rig, ada, "grace").starts_with("refused 1 offline"));
    let grace = rig.log_in("grace");
    rig.heard(ada);
    rig.say(grace, &ClientFrame::Block { request: RequestId(2), user: "ada".parse().unwrap() });
    assert!(invite(&mut rig, ada, "grace").starts_with("refused 1 blocked"));
    assert!(rig.heard(grace).is_empty(), "the blocker hears nothing of it");
}

#[test]
fn only_so_many_tickets_are_out_at_once() {
    let mut rig = Rig::new(Limits { tickets_max: 3, ..Limits::default() });
    let ada = rig.log_in("ada");
    rig.log_in("grace");
    rig.heard(ada);
    for _ in 0..3 {
        assert!(invite(&mut rig, ada, "grace").starts_with("ticket "));
    }
    assert!(invite(&mut rig, ada, "grace").starts_with("refused 1 quota"));
    rig.pass(Duration::from_secs(30));
    assert!(invite(&mut rig, ada, "grace").starts_with("ticket "));
}
