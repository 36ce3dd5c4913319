//! What one sender says to one recipient arrives in the order in which he said it, messages and broadcasts alike.

use protocol::{ClientFrame, MessageId, RequestId};
use server::hub::Limits;

use crate::rig::Rig;

#[test]
fn a_broadcast_does_not_overtake_messages_that_wait_for_room() {
    let mut rig = Rig::new(Limits { in_flight_messages_max: 1, ..Limits::default() });
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let to = || "grace".parse().unwrap();
    let id = |n: u32| MessageId(n.into());
    for n in [1, 2] {
        rig.say(ada, &ClientFrame::Message { request: RequestId(n), to: to(), id: id(n), text: "direct" });
    }
    rig.say(ada, &ClientFrame::Broadcast { request: RequestId(3), id: id(3), text: "to all" });
    rig.say(ada, &ClientFrame::Message { request: RequestId(4), to: to(), id: id(4), text: "direct" });
    let mut order = Vec::new();
    let mut heard = rig.heard(grace);
    while !heard.is_empty() {
        let acks: Vec<_> = heard.iter().filter(|body| body.starts_with("deliver ")).cloned().collect();
        order.extend(heard.iter().map(|body| body.split(' ').take(3).collect::<Vec<_>>().join(" ")));
        heard.clear();
        for body in acks {
            let id = body.split(' ').nth(2).unwrap().parse().unwrap();
            heard.extend(rig.say(grace, &ClientFrame::Ack { from: "ada".parse().unwrap(), id }));
        }
    }
    let expected = [("deliver", 1), ("deliver", 2), ("announce", 3), ("deliver", 4)];
    assert_eq!(order, expected.map(|(tag, n)| format!("{tag} ada {}", id(n))));
}
