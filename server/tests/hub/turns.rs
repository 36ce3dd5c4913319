//! One turn does so much and no more for whoever sends much (threats 10, 26), and nothing of it is forgotten.

use std::{collections::BTreeMap, time::Duration};

use protocol::{ClientFrame, RequestId};
use server::hub::Limits;

use crate::rig::{Rig, verifier};

#[test]
fn a_burst_is_taken_in_slices_while_others_are_answered_at_once() {
    let limits = Limits::default();
    let per_turn_max = 2 * usize::try_from(limits.work_per_slice_max).unwrap();
    let mut rig = Rig::new(limits);
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    rig.throw(ada, &ClientFrame::Ping.encode().as_bytes().repeat(1_000));
    let mut answers = 0;
    while rig.is_due() {
        let heard = rig.heard(ada).len();
        // Hearing is a turn, too.
        assert!(heard <= 2 * per_turn_max, "{heard} in one go");
        answers += heard;
        let answer = rig.say(grace, &ClientFrame::WhoElse { request: RequestId(1) });
        assert_eq!(answer.len(), 1, "{answer:?}");
    }
    assert_eq!(answers + rig.heard(ada).len(), 1_000);
}

#[test]
fn who_sends_much_and_hangs_up_is_heard_to_the_end() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let text = ClientFrame::Broadcast { request: RequestId(1), id: protocol::MessageId(7), text: "the last" };
    let burst =
        [ClientFrame::Ping.encode().as_bytes().repeat(500).as_slice(), text.encode().as_bytes()].concat();
    rig.throw_and_hang_up(ada, &burst);
    let heard = rig.heard(grace);
    assert!(heard.iter().any(|frame| frame.ends_with("the last")), "{heard:?}");
}

/// So many floods would take up ten turns.
#[test]
fn who_sends_little_does_not_wait_behind_those_who_flood() {
    let names: Vec<String> = (0..80).map(|number| format!("flooder-{number:02}")).collect();
    let keys = verifier();
    let mut credentials: BTreeMap<_, _> =
        names.iter().map(|name| (name.parse().unwrap(), keys.clone())).collect();
    credentials.insert("ada".parse().unwrap(), keys);
    let mut rig = Rig::with(Limits { commands_burst: 100, ..Limits::default() }, credentials);
    let flooders: Vec<_> = names.iter().map(|name| rig.log_in(name)).collect();
    let ada = rig.log_in("ada");
    rig.heard(ada);
    // They use their allowance up, and a bit of it comes back.
    for &flooder in &flooders {
        rig.throw(flooder, &ClientFrame::Ping.encode().as_bytes().repeat(99));
        while rig.is_due() {
            rig.heard(flooder);
        }
    }
    rig.pass(Duration::from_millis(20));
    let flood = ClientFrame::Ping.encode().as_bytes().repeat(20);
    let question = ClientFrame::WhoElse { request: RequestId(1) }.encode();
    let mut said: Vec<_> = flooders.iter().map(|&conn| (conn, flood.as_slice())).collect();
    said.push((ada, question.as_bytes()));
    rig.throw_all(&said);
    assert!(rig.is_due(), "not everything was done");
    assert_eq!(rig.heard(ada).len(), 1, "but what she had asked");
}
