//! The server's half of a log-in: only the one genuine exchange gets in.
//!
//! Input: a byte that picks the mechanism, then the client-first, a line feed and the client-final.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol::scram::{
    Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client, server,
};

const SALT: [u8; 16] = *b"salt of the test";
const BINDING: [u8; 32] = [0xB1; 32];

struct Genuine {
    verifier: Verifier,
    /// Client-first and client-final, not bound and bound.
    exchanges: [(String, String); 2],
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let iterations = Iterations::new(4_096).expect("the least allowed");
    let salted = SaltedPassword::derive("pencil", &SALT, iterations);
    let exchange = |binding: Option<&[u8]>| {
        let (client, client_first) =
            client::ClientFirst::new("ada", Nonce::new([1; NONCE_RANDOM_LEN]), binding.map(<[u8]>::to_vec));
        let first = server::ClientFirst::parse(&client_first, client.mechanism()).expect("genuine");
        let (_, server_first) = first.challenge(&SALT, iterations, &Nonce::new([2; NONCE_RANDOM_LEN]));
        let (_, client_final) = client.read_challenge(&server_first).expect("genuine").answer(&salted);
        (client_first, client_final)
    };
    Genuine {
        verifier: Verifier::derive("pencil", &SALT, iterations),
        exchanges: [exchange(None), exchange(Some(&BINDING))],
    }
});

fuzz_target!(|input: &[u8]| {
    let [choice, text @ ..] = input else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let (client_first, client_final) = text.split_once('\n').unwrap_or((text, ""));
    let bound = usize::from(choice % 2);
    let mechanism = [Mechanism::Sha256, Mechanism::Sha256Plus][bound];

    let Ok(first) = server::ClientFirst::parse(client_first, mechanism) else { return };
    assert!(!first.username().is_empty() && !first.username().contains('\0'));
    assert_eq!(first.is_bound(), bound == 1);
    let iterations = GENUINE.verifier.iterations;
    let (challenge, server_first) = first.challenge(&SALT, iterations, &Nonce::new([2; NONCE_RANDOM_LEN]));
    assert!(!server_first.contains(char::is_control));

    if challenge.verify(client_final, &GENUINE.verifier, Some(&BINDING)).is_ok() {
        let (genuine_first, genuine_final) = &GENUINE.exchanges[bound];
        assert_eq!((client_first, client_final), (genuine_first.as_str(), genuine_final.as_str()));
    }
});
