//! The client's half of a log-in: only the one genuine server passes for it.
//!
//! Input: the server-first, a line feed and the server-final.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol::scram::{
    ITERATIONS_MAX, ITERATIONS_MIN, Iterations, NONCE_RANDOM_LEN, Nonce, SALT_LEN_MAX, SaltedPassword,
    Verifier, client, server,
};

const SALT: [u8; 16] = *b"salt of the test";

struct Genuine {
    salted: SaltedPassword,
    server_first: String,
    server_final: String,
}

fn client_first() -> (client::ClientFirst, String) {
    client::ClientFirst::new("ada", Nonce::new([1; NONCE_RANDOM_LEN]), None)
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let iterations = Iterations::new(4_096).expect("the least allowed");
    let salted = SaltedPassword::derive("pencil", &SALT, iterations);
    let (client, text) = client_first();
    let first = server::ClientFirst::parse(&text, client.mechanism()).expect("genuine");
    let (challenge, server_first) = first.challenge(&SALT, iterations, &Nonce::new([2; NONCE_RANDOM_LEN]));
    let (_, text) = client.read_challenge(&server_first).expect("genuine").answer(&salted);
    let verifier = Verifier::derive("pencil", &SALT, iterations);
    let server_final = challenge.verify(&text, &verifier, None).expect("genuine");
    Genuine { salted, server_first, server_final }
});

fuzz_target!(|text: &str| {
    let (server_first, server_final) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(challenge) = client_first().0.read_challenge(server_first) else { return };
    assert!((1..=SALT_LEN_MAX).contains(&challenge.salt().len()));
    assert!((ITERATIONS_MIN..=ITERATIONS_MAX).contains(&challenge.iterations().get()));

    // Always with the same salted password: deriving takes seconds where the challenge asks for it.
    let (answer, client_final) = challenge.answer(&GENUINE.salted);
    assert!(!client_final.contains(char::is_control));
    if answer.verify(server_final).is_ok() {
        assert_eq!(server_first, GENUINE.server_first);
        // Extensions behind the signature are not signed, and ignored.
        assert!(server_final.starts_with(&GENUINE.server_final));
    }
});
