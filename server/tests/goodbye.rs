//! Nothing follows a `goodbye`: it is the last frame of a connection, whatever still happens behind it.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use protocol::{
    ClientFrame, FrameDecoder, MessageId, RequestId, ServerFrame, State,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::Now,
};
use server::hub::{ConnId, Credential, Hub, Input, Limits};

const SALT: &[u8] = b"salt of the test";
const NOW: Now = Now { mono: protocol::time::MonoMs(0), wall: protocol::time::UnixMs(0) };

/// Sends one frame and takes the bytes that the hub has for that connection.
fn say(hub: &mut Hub, conn: ConnId, frame: &ClientFrame<'_>) -> Vec<u8> {
    hub.handle_input(NOW, Input::Received { conn, bytes: frame.encode().as_bytes() });
    heard(hub, conn)
}

fn heard(hub: &mut Hub, conn: ConnId) -> Vec<u8> {
    while hub.poll_output().is_some() {}
    let mut bytes = Vec::new();
    hub.gather(conn, &mut bytes, usize::MAX);
    hub.handle_input(NOW, Input::Sent { conn, len: bytes.len() });
    while hub.poll_output().is_some() {}
    bytes
}

fn log_in(hub: &mut Hub, index: u32, name: &str, salted: &SaltedPassword) -> ConnId {
    let conn = ConnId { index, generation: 0 };
    hub.handle_input(NOW, Input::Opened { conn, peer: "127.0.0.1".parse().unwrap() });
    say(hub, conn, &ClientFrame::Hello { version: 1 });
    let (first, client_first) = client::ClientFirst::new(name, Nonce::new([1; NONCE_RANDOM_LEN]), None);
    let auth = ClientFrame::Auth { mechanism: Mechanism::Sha256, client_first: &client_first };
    let bytes = say(hub, conn, &auth);
    let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
    decoder.push(&bytes);
    let body = decoder.next_body().unwrap().unwrap();
    let Ok(ServerFrame::Challenge { server_first }) = ServerFrame::decode(body, State::Login) else {
        panic!()
    };
    let (_, client_final) = first.read_challenge(server_first).unwrap().answer(salted);
    let welcome = say(hub, conn, &ClientFrame::Proof { client_final: &client_final });
    assert!(welcome[4..].starts_with(b"welcome "));
    conn
}

#[test]
fn an_answer_that_comes_after_the_logout_is_not_sent() {
    let iterations = Iterations::new(4_096).unwrap();
    let salted = SaltedPassword::derive("pencil", SALT, iterations);
    let verifier = Verifier::derive("pencil", SALT, iterations);
    let credentials: BTreeMap<_, _> = ["ada", "grace"]
        .map(|name| (name.parse().unwrap(), Credential::Verifier(verifier.clone())))
        .into_iter()
        .collect();
    let mut hub = Hub::new(Limits::default(), credentials, [7; 32], NOW);
    let ada = log_in(&mut hub, 0, "ada", &salted);
    let grace = log_in(&mut hub, 1, "grace", &salted);
    heard(&mut hub, ada);

    let id = MessageId(1);
    let to = "grace".parse().unwrap();
    say(&mut hub, ada, &ClientFrame::Message { request: RequestId(1), to, id, text: "hello" });
    let last = say(&mut hub, ada, &ClientFrame::Logout { request: RequestId(2) });
    assert!(last.windows(14).any(|bytes| bytes == b"goodbye logout"));

    say(&mut hub, grace, &ClientFrame::Ack { from: "ada".parse().unwrap(), id });
    assert_eq!(String::from_utf8_lossy(&heard(&mut hub, ada)), "");
}
