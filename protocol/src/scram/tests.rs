//! Both ends against each other, against RFC 7677, and against somebody who changes what they say.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::client;
use super::server::{self, ServerError};
use super::*;

const PASSWORD: &str = "pencil";
const SALT_BASE64: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const BINDING: [u8; 32] = [0xB1; 32];

static SALTED: LazyLock<SaltedPassword> =
    LazyLock::new(|| SaltedPassword::derive(PASSWORD, &salt(), iterations()));
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::derive(PASSWORD, &salt(), iterations()));

fn salt() -> Vec<u8> {
    message::salt(SALT_BASE64).unwrap()
}

fn iterations() -> Iterations {
    Iterations::new(ITERATIONS_MIN).unwrap()
}

fn client_first(binding: Option<&[u8]>) -> (client::ClientFirst, String) {
    client::ClientFirst::new("user", Nonce(CLIENT_NONCE.to_owned()), binding.map(<[u8]>::to_vec))
}

fn challenge(text: &str, mechanism: Mechanism) -> Result<(server::Challenge, String), ServerError> {
    let first = server::ClientFirst::parse(text, mechanism)?;
    Ok(first.challenge(&salt(), iterations(), &Nonce(SERVER_NONCE.to_owned())))
}

/// An exchange up to the client-final, without a change on its way.
struct Exchange {
    server: server::Challenge,
    client: client::Answer,
    client_final: String,
}

fn exchange(salted: &SaltedPassword, binding: Option<&[u8]>) -> Exchange {
    let (client, text) = client_first(binding);
    let (server, text) = challenge(&text, client.mechanism()).unwrap();
    let (client, client_final) = client.read_challenge(&text).unwrap().answer(salted);
    Exchange { server, client, client_final }
}

#[test]
fn rfc_7677_section_3() {
    let (client, text) = client_first(None);
    assert_eq!(text, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");

    let (server, text) = challenge(&text, Mechanism::Sha256).unwrap();
    assert_eq!(
        text,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );

    let challenge = client.read_challenge(&text).unwrap();
    let salted = SaltedPassword::derive(PASSWORD, challenge.salt(), challenge.iterations());
    let (client, text) = challenge.answer(&salted);
    assert_eq!(
        text,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );

    let text = server.verify(&text, &VERIFIER, None).unwrap();
    assert_eq!(text, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(client.verify(&text), Ok(()));
}

#[test]
fn a_bound_log_in_succeeds() {
    let Exchange { server, client, client_final } = exchange(&SALTED, Some(&BINDING));
    let server_final = server.verify(&client_final, &VERIFIER, Some(&BINDING)).unwrap();
    assert_eq!(client.verify(&server_final), Ok(()));
}

#[test]
fn another_connection_is_refused() {
    for binding in [None, Some(&[0xB2; 32][..]), Some(&BINDING[..31]), Some(&[])] {
        let Exchange { server, client_final, .. } = exchange(&SALTED, Some(&BINDING));
        let result = server.verify(&client_final, &VERIFIER, binding);
        assert_eq!(result, Err(ServerError::BindingMismatch), "{binding:?}");
    }
}

#[test]
fn an_unbound_log_in_ignores_the_connection() {
    let Exchange { server, client_final, .. } = exchange(&SALTED, None);
    assert!(server.verify(&client_final, &VERIFIER, Some(&BINDING)).is_ok());
}

#[test]
fn a_wrong_password_is_refused() {
    let wrong = SaltedPassword::derive("pencil ", &salt(), iterations());
    let Exchange { server, client_final, .. } = exchange(&wrong, None);
    assert_eq!(server.verify(&client_final, &VERIFIER, None), Err(ServerError::WrongPassword));
}

#[test]
fn a_server_without_the_verifier_is_found_out() {
    let Exchange { server, client, client_final } = exchange(&SALTED, None);
    // A thief of the stored key alone can check a proof, but not sign.
    let thief = Verifier { server_key: Key::new([0; KEY_LEN]), ..VERIFIER.clone() };
    let server_final = server.verify(&client_final, &thief, None).unwrap();
    assert_eq!(client.verify(&server_final), Err(client::ClientError::ServerUnproven));
}

#[test]
fn malformed_server_finals_are_no_proof_of_anything() {
    for text in ["", "v=", "v=AAAA", "e=invalid-proof", "x=1,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="]
    {
        let error = exchange(&SALTED, None).client.verify(text).unwrap_err();
        assert_eq!(error, MessageError::Signature.into(), "{text}");
    }
}

#[test]
fn each_field_of_a_client_final_counts() {
    let genuine = exchange(&SALTED, None).client_final;
    let proof = genuine.rsplit_once(",p=").unwrap().1;
    let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
    let cases = [
        (String::new(), MessageError::Proof.into()),
        (format!("c=biws,r={nonce}"), MessageError::Proof.into()),
        (format!("c=biws,r={nonce},p="), MessageError::Proof.into()),
        (format!("c=biws,r={nonce},p={proof},x=1"), MessageError::Proof.into()),
        (format!("c=biws,r={nonce},p=AAAA"), MessageError::Proof.into()),
        (format!("c=biws,r={nonce},p={proof},p={proof}"), MessageError::Extension.into()),
        (format!("r={nonce},c=biws,p={proof}"), MessageError::Binding.into()),
        (format!("m=1,c=biws,r={nonce},p={proof}"), MessageError::MandatoryExtension.into()),
        (format!("c=biws,p={proof}"), MessageError::Nonce.into()),
        (format!("c=biws,r=,p={proof}"), ServerError::NonceMismatch),
        (format!("c=biws,r={CLIENT_NONCE},p={proof}"), ServerError::NonceMismatch),
        (format!("c=biws,r={nonce}x,p={proof}"), ServerError::NonceMismatch),
        (format!("c=,r={nonce},p={proof}"), ServerError::BindingMismatch),
        (format!("c=eSws,r={nonce},p={proof}"), ServerError::BindingMismatch),
        (format!("c=biws,r={nonce},x=1,p={proof}"), ServerError::WrongPassword),
        (format!("c=biws,r={nonce},p={}", Key::new([0; KEY_LEN]).to_base64()), ServerError::WrongPassword),
    ];
    for (text, error) in cases {
        assert_eq!(exchange(&SALTED, None).server.verify(&text, &VERIFIER, None), Err(error), "{text}");
    }
    assert!(exchange(&SALTED, None).server.verify(&genuine, &VERIFIER, None).is_ok());
}

#[test]
fn a_client_final_does_not_work_twice() {
    let client_final = exchange(&SALTED, None).client_final;
    let (_, text) = client_first(None);
    let first = server::ClientFirst::parse(&text, Mechanism::Sha256).unwrap();
    let (server, _) = first.challenge(&salt(), iterations(), &Nonce::new([1; NONCE_RANDOM_LEN]));
    assert_eq!(server.verify(&client_final, &VERIFIER, None), Err(ServerError::NonceMismatch));
}

#[test]
fn the_longest_messages_fit_a_frame() {
    let nonce = Nonce("~".repeat(NONCE_LEN_MAX));
    let longest_name = "\u{1f98a}".repeat(32);
    let (client, client_first) = client::ClientFirst::new(&longest_name, nonce.clone(), Some(vec![1; 32]));
    let first = server::ClientFirst::parse(&client_first, client.mechanism()).unwrap();
    let most = Iterations::new(ITERATIONS_MAX).unwrap();
    let (_, server_first) = first.challenge(&[0xFF; SALT_LEN_MAX], most, &nonce);
    let (_, client_final) = client.read_challenge(&server_first).unwrap().answer(&SALTED);
    for text in [client_first, server_first, client_final] {
        assert!(text.len() < 1000, "{text}");
    }
}

/// Replaces `cut` bytes at `at` by `insert`, moved to whole characters.
fn tampered(text: &str, at: usize, cut: usize, insert: &str) -> String {
    let start = text.floor_char_boundary(at % (text.len() + 1));
    let end = text.floor_char_boundary((start + cut).min(text.len()));
    format!("{}{insert}{}", &text[..start], &text[end..])
}

prop_compose! {
    fn change()(at in any::<usize>(), cut in 0..4_usize, insert in "[a-z0-9=,+/ \0\u{e9}\u{1f98a}]{0,4}")
        -> (usize, usize, String) { (at, cut, insert) }
}

/// The same cases on every run.
fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7677), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn no_changed_message_logs_anybody_in(which in 0..3, bound: bool, (at, cut, insert) in change()) {
        let binding = bound.then_some(&BINDING[..]);
        let changed = |index, text: String| {
            if index == which { tampered(&text, at, cut, &insert) } else { text }
        };
        let (client, client_first) = client_first(binding);
        let (mechanism, heard) = (client.mechanism(), changed(0, client_first.clone()));
        let Ok((server, server_first)) = challenge(&heard, mechanism) else { return Ok(()) };
        let mut genuine = heard == client_first;
        let heard = changed(1, server_first.clone());
        genuine &= heard == server_first;
        let Ok(challenge) = client.read_challenge(&heard) else { return Ok(()) };
        let (_, client_final) = challenge.answer(&SALTED);
        let heard = changed(2, client_final.clone());
        genuine &= heard == client_final;
        prop_assert_eq!(server.verify(&heard, &VERIFIER, binding).is_ok(), genuine);
    }

    #[test]
    fn no_changed_server_final_is_a_proof((at, cut, insert) in change()) {
        let Exchange { server, client, client_final } = exchange(&SALTED, None);
        let server_final = server.verify(&client_final, &VERIFIER, None).unwrap();
        let heard = tampered(&server_final, at, cut, &insert);
        // Extensions after the signature are not signed, and ignored.
        let genuine = heard.starts_with(&server_final);
        prop_assert!(genuine || client.verify(&heard).is_err());
    }

    #[test]
    fn no_proof_can_be_guessed(proof: [u8; KEY_LEN], stored_key: [u8; KEY_LEN]) {
        let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
        let client_final = format!("c=biws,r={nonce},p={}", Key::new(proof).to_base64());
        let verifier = Verifier { stored_key: Key::new(stored_key), ..VERIFIER.clone() };
        for verifier in [&*VERIFIER, &verifier] {
            let result = exchange(&SALTED, None).server.verify(&client_final, verifier, None);
            prop_assert_eq!(result, Err(ServerError::WrongPassword));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,80}|[npyarcsivem=,$:0-9+/]{0,80}") {
        for mechanism in [Mechanism::Sha256, Mechanism::Sha256Plus] {
            let _ = server::ClientFirst::parse(&text, mechanism);
        }
        let _ = client_first(None).0.read_challenge(&text);
        let Exchange { server, client, .. } = exchange(&SALTED, None);
        prop_assert!(server.verify(&text, &VERIFIER, None).is_err());
        prop_assert!(client.verify(&text).is_err());
        let _ = text.parse::<Verifier>();
        let _ = format!("SCRAM-SHA-256${text}").parse::<Verifier>();
    }
}
