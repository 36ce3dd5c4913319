//! What the server tells two clients of each other's places, and does when they cannot get through.
//!
//! Threats: 33 (tickets), 48 (a ticket that is late or another's is worth nothing), 51 (clients are not aimed at
//! strangers).

use core::time::Duration;

use core::net::SocketAddr;

use protocol::{ClientFrame, Purpose, RequestId, ServerFrame, State, TicketId};
use server::hub::{ConnId, Limits};

use crate::rig::Rig;

fn reachable(rig: &mut Rig, conn: ConnId, addresses: &[&str]) {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    assert!(rig.say(conn, &ClientFrame::Reachable { addresses }).is_empty(), "not answered");
}

/// The ticket, and the addresses of the other.
pub(crate) fn invite(rig: &mut Rig, conn: ConnId, user: &str) -> (TicketId, Vec<String>) {
    let user = user.parse().unwrap();
    let answer = rig.say(conn, &ClientFrame::Invite { request: RequestId(1), user, purpose: Purpose::Files });
    match ServerFrame::decode(answer.last().unwrap().as_bytes(), State::Chat) {
        Ok(ServerFrame::Ticket { ticket, addresses, .. }) => (ticket, texts(&addresses)),
        other => panic!("{other:?}"),
    }
}

/// The addresses that stand in an `expect`.
fn expected(rig: &mut Rig, conn: ConnId) -> Vec<String> {
    let heard = rig.heard(conn);
    match ServerFrame::decode(heard.last().unwrap().as_bytes(), State::Chat) {
        Ok(ServerFrame::Expect { addresses, .. }) => texts(&addresses),
        other => panic!("{other:?}"),
    }
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// What another client is told of one that is seen at `seen` and names these.
fn told(seen: &str, reader: &str, named: &[&str]) -> Vec<String> {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in_from(seen, "ada");
    let grace = rig.log_in_from(reader, "grace");
    rig.heard(ada);
    reachable(&mut rig, ada, named);
    invite(&mut rig, grace, "ada").1
}

#[test]
fn a_client_is_looked_for_where_it_is_seen_and_at_its_private_addresses() {
    let seen = "203.0.113.7";
    assert_eq!(
        told(seen, "198.51.100.1", &["192.168.1.20:40000", "203.0.113.7:40001"]),
        ["203.0.113.7:40000", "192.168.1.20:40000", "203.0.113.7:40001"]
    );
    assert_eq!(told(seen, "198.51.100.1", &[]), [] as [&str; 0]);
    for private in ["10.1.2.3:5000", "172.16.0.1:5000", "172.31.255.1:5000", "[fd12::1]:5000"] {
        assert_eq!(told(seen, "198.51.100.1", &[private]), ["203.0.113.7:5000", private]);
    }
    assert_eq!(told("2001:db8::7", "198.51.100.1", &["[2001:db8::7]:5000"]), ["[2001:db8::7]:5000"], "once");
}

#[test]
fn nobody_is_aimed_at_somebody_else() {
    let seen = "203.0.113.7";
    for elsewhere in [
        "198.51.100.200:5000",
        "127.0.0.1:5000",
        "[::1]:5000",
        "169.254.1.1:5000",
        "[fe80::1]:5000",
        "172.32.0.1:5000",
        "0.0.0.0:5000",
        "224.0.0.1:5000",
        "255.255.255.255:5000",
        "[2001:db8::1]:5000",
        "[::ffff:198.51.100.200]:5000",
        "100.64.0.1:5000",
    ] {
        assert_eq!(told(seen, "198.51.100.1", &[elsewhere]), ["203.0.113.7:5000"], "{elsewhere}");
    }
    for port in [0, 22, 80, 1023] {
        let named = [format!("203.0.113.7:{port}"), format!("192.168.1.1:{port}")];
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        assert!(told(seen, "198.51.100.1", &named).is_empty(), "port {port}");
    }
    assert_eq!(told(seen, "198.51.100.1", &["203.0.113.7:1024"]), ["203.0.113.7:1024"]);
}

#[test]
fn this_machine_is_told_to_this_machine_only() {
    let named = ["127.0.0.1:5000", "192.168.1.20:5000"];
    assert_eq!(told("127.0.0.1", "127.0.0.1", &named), ["127.0.0.1:5000", "192.168.1.20:5000"]);
    assert_eq!(told("127.0.0.1", "198.51.100.1", &named), ["192.168.1.20:5000"]);
}

#[test]
fn four_addresses_at_most_and_the_last_word_counts() {
    let named: Vec<String> = (0..6).map(|n| format!("10.0.0.{n}:500{n}")).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(
        told("203.0.113.7", "198.51.100.1", &named),
        ["203.0.113.7:5000", "10.0.0.0:5000", "203.0.113.7:5001", "10.0.0.1:5001"]
    );

    let mut rig = Rig::new(Limits::default());
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.heard(ada);
    reachable(&mut rig, ada, &["10.0.0.1:5000"]);
    reachable(&mut rig, ada, &["10.0.0.1:6000"]);
    assert_eq!(invite(&mut rig, ada, "grace").1, [] as [&str; 0]);
    assert_eq!(
        expected(&mut rig, grace),
        ["127.0.0.1:6000", "10.0.0.1:6000"],
        "the inviter's, for dial-back"
    );
    reachable(&mut rig, ada, &[]);
    assert_eq!(invite(&mut rig, grace, "ada").1, [] as [&str; 0]);
}

#[test]
fn a_dial_back_is_passed_on_once_and_only_for_the_owner_of_a_ticket_that_is_out() {
    let mut rig = Rig::of(Limits::default(), ["ada", "grace", "mallory"]);
    let (ada, grace, mallory) = (rig.log_in("ada"), rig.log_in("grace"), rig.log_in("mallory"));
    let (ticket, _) = invite(&mut rig, ada, "grace");
    for conn in [ada, grace, mallory] {
        rig.heard(conn);
    }
    let dial_back = ClientFrame::DialBack { ticket };
    for other in [mallory, grace] {
        assert!(rig.say(other, &dial_back).is_empty());
        assert!(rig.heard(grace).is_empty() && rig.heard(ada).is_empty());
    }
    rig.say(ada, &ClientFrame::DialBack { ticket: TicketId(ticket.0 ^ 1) });
    assert!(rig.heard(grace).is_empty(), "no such ticket");
    rig.say(ada, &dial_back);
    assert_eq!(rig.heard(grace), [format!("dial-back {ticket}")]);
    rig.say(ada, &dial_back);
    assert!(rig.heard(grace).is_empty(), "once");

    let (late, _) = invite(&mut rig, ada, "grace");
    let (blocked, _) = invite(&mut rig, ada, "grace");
    rig.heard(grace);
    rig.pass(Duration::from_millis(29_999));
    rig.say(ada, &ClientFrame::DialBack { ticket: blocked });
    assert_eq!(rig.heard(grace), [format!("dial-back {blocked}")]);
    rig.pass(Duration::from_millis(1));
    rig.say(ada, &ClientFrame::DialBack { ticket: late });
    assert!(rig.heard(grace).is_empty(), "too late");
}

#[test]
fn a_dial_back_stops_at_a_block_and_at_a_new_session() {
    let mut rig = Rig::new(Limits::default());
    let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
    rig.heard(ada);
    let (before, _) = invite(&mut rig, ada, "grace");
    let (after, _) = invite(&mut rig, ada, "grace");
    rig.say(grace, &ClientFrame::Block { request: RequestId(9), user: "ada".parse().unwrap() });
    rig.say(ada, &ClientFrame::DialBack { ticket: before });
    assert!(rig.heard(grace).is_empty());
    rig.say(grace, &ClientFrame::Unblock { request: RequestId(9), user: "ada".parse().unwrap() });
    rig.lose(grace);
    let grace = rig.log_in("grace");
    rig.say(ada, &ClientFrame::DialBack { ticket: after });
    assert!(rig.heard(grace).is_empty(), "this client was never told of that ticket");
}

#[test]
fn a_lookup_says_who_is_there_whoever_blocks_whom() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let lookup = |rig: &mut Rig, user: &str| {
        let frame = ClientFrame::Lookup { request: RequestId(5), user: user.parse().unwrap() };
        rig.say(ada, &frame).pop().unwrap()
    };
    assert!(lookup(&mut rig, "ada").starts_with("refused 5 self\n"));
    assert!(lookup(&mut rig, "nobody").starts_with("refused 5 unknown-user\n"));
    assert!(lookup(&mut rig, "grace").starts_with("refused 5 offline\n"));
    let grace = rig.log_in("grace");
    rig.say(grace, &ClientFrame::Block { request: RequestId(9), user: "ada".parse().unwrap() });
    rig.heard(ada);
    assert_eq!(lookup(&mut rig, "grace"), "done 5");
}
