//! Nothing follows a `goodbye`: it is the last frame of a connection, whatever still happens behind it.

use protocol::{ClientFrame, MessageId, RequestId};
use server::hub::Limits;

use crate::rig::Rig;

#[test]
fn an_answer_that_comes_after_the_logout_is_not_sent() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let grace = rig.log_in("grace");
    rig.heard(ada);

    let id = MessageId(1);
    let to = "grace".parse().unwrap();
    rig.say(ada, &ClientFrame::Message { request: RequestId(1), to, id, text: "hello" });
    let last = rig.say(ada, &ClientFrame::Logout { request: RequestId(2) });
    assert!(last.last().unwrap().starts_with("goodbye logout"));

    rig.say(grace, &ClientFrame::Ack { from: "ada".parse().unwrap(), id });
    assert!(rig.heard(ada).is_empty());
}
