//! Somebody in the middle who owns the network: he gets no log-in, no password and no text, and is not taken for the
//! server afterwards.
//!
//! Rows 46, 49 (for servers) and 50 of the threat list.

pub(crate) mod middleman;

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::tags::Sender;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use self::middleman::{Conversation, Disguise, Middleman, Tamper, Trick, fresh_disguise};
use crate::harness::{Client, Home, Server, ServerSetup, kind};

/// What ada would say if she were let in.
const TEXT: &str = "meet me at the gasworks";

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn unchanged(_: Sender, body: String) -> Option<String> {
    Some(body)
}

/// What came of a log-in through somebody in the middle.
struct Outcome {
    code: i32,
    said: String,
    events: Vec<String>,
    overheard: Conversation,
}

/// Sends ada, with the right password and a message for bob, through a middleman; whatever he does, he must have
/// overheard neither, and must not be remembered.
#[track_caller]
fn attack(disguise: Disguise, trick: Trick) -> Outcome {
    let args: &[&str] = if disguise.is_some() { &[] } else { &["--no-tls"] };
    let (home, middleman) = (Home::new(), Middleman::start(anywhere(), disguise, trick));
    let mut ada = home.visit(middleman.address(), "ada", args);
    ada.post(&format!("message bob {TEXT}"));
    let code = ada.wait_exit();
    assert_eq!(home.known_hosts(), "", "he is remembered");
    let overheard = middleman.overheard();
    assert!(!overheard.iter().any(|(_, body)| body.contains("first-program")), "{overheard:?}");
    let events = ada.output().lines().map(str::to_owned).collect();
    Outcome { code, said: ada.complaint(), events, overheard }
}

/// Asserts that ada was not let in, and left with this code and these words.
#[track_caller]
fn assert_held_off(outcome: &Outcome, code: i32, words: &str) {
    let Outcome { code: exit_code, said, events, overheard } = outcome;
    let told: String = events.concat() + said;
    assert!(
        *exit_code == code && told.contains(words),
        "awaited: exit code {code} with `{words}`; got {exit_code} with: {told}\noverheard: {:?}",
        &overheard[..overheard.len().min(10)]
    );
    assert!(!told.contains(r#""event":"login","#), "she was let in: {told}");
    assert!(!overheard.iter().any(|(_, body)| body.contains(TEXT)), "{overheard:?}");
}

/// Asserts that ada was never online, as somebody sees it who was there before.
#[track_caller]
fn assert_never_there(bob: &mut Client) {
    assert_eq!(bob.ok("whoelsesince 1000")["users"].as_array().map(Vec::len), Some(0));
    assert_not_there_with(bob);
}

/// The same, for a server that may have seen her before.
#[track_caller]
fn assert_not_there_with(bob: &mut Client) {
    assert_eq!(bob.ok("whoelse")["users"].as_array().map(Vec::len), Some(0));
    bob.expect_none("presence");
    bob.expect_none("message");
}

#[test]
fn the_middleman_hears_everything_where_nothing_is_encrypted() {
    // Shows that the other tests would notice if he did.
    let server = Server::plain();
    let middleman = Middleman::start(anywhere(), None, Trick::Relay(server.address(), unchanged));
    let home = Home::new();
    let mut ada = home.visit(middleman.address(), "ada", &["--no-tls"]);
    ada.expect("login");
    assert_eq!(ada.ok(&format!("message bob {TEXT}"))["state"], "stored");
    ada.ok("logout");
    ada.expect_end("logout", 0);
    let overheard = middleman.overheard();
    assert!(overheard.iter().any(|(_, body)| body.contains(TEXT)), "{overheard:?}");
    assert!(!overheard.iter().any(|(_, body)| body.contains("first-program")), "{overheard:?}");
}

#[test]
fn a_log_in_through_somebody_in_the_middle_fails_and_says_so() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let outcome = attack(fresh_disguise().0, Trick::Relay(server.address(), unchanged));
    assert_held_off(&outcome, 5, "somebody sits between");
    let tags: Vec<_> =
        outcome.overheard.iter().map(|(_, body)| body.split([' ', '\n']).next().unwrap()).collect();
    assert_eq!(tags, ["hello", "hello", "auth", "challenge", "proof", "goodbye"]);
    let (head, client_first) = outcome.overheard[2].1.split_once('\n').unwrap();
    assert!(head.starts_with("auth SCRAM-SHA-256-PLUS SHA256:"), "{head}");
    assert!(client_first.starts_with("p=tls-exporter,,n=ada,"), "{client_first}");
    server.expect_log(0, "somebody sits in between");
    assert_never_there(&mut bob);
    // It was no wrong password: any number of such tries locks nobody out.
    for _ in 0..3 {
        let again = attack(fresh_disguise().0, Trick::Relay(server.address(), unchanged));
        assert_held_off(&again, 5, "somebody sits between");
    }
    assert_eq!(kind(&Client::try_login(&server, "ada", "first-program").1), "login");
}

#[test]
fn a_log_in_cannot_be_made_an_unbound_one_on_its_way() {
    fn by_name(_: Sender, body: String) -> Option<String> {
        Some(body.replace("auth SCRAM-SHA-256-PLUS", "auth SCRAM-SHA-256"))
    }
    fn by_name_and_header(sender: Sender, body: String) -> Option<String> {
        by_name(sender, body).map(|body| body.replace("\np=tls-exporter,,", "\nn,,"))
    }
    /// Puts into the proof what an unbound log-in has there; `biws` is the base64 of `n,,`.
    fn altogether(sender: Sender, body: String) -> Option<String> {
        let body = by_name_and_header(sender, body)?;
        let Some(rest) = body.strip_prefix("proof\nc=") else { return Some(body) };
        Some(format!("proof\nc=biws,{}", rest.split_once(',')?.1))
    }
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    for tamper in [by_name as Tamper, by_name_and_header, altogether] {
        let outcome = attack(fresh_disguise().0, Trick::Relay(server.address(), tamper));
        assert_held_off(&outcome, 1, "must be bound");
    }
    assert_never_there(&mut bob);

    // A server that would take an unbound log-in notices that this one was not meant to be.
    let plain = Server::plain();
    let mut bob = Client::login(&plain, "bob");
    for (tamper, code, words) in [
        (unchanged as Tamper, 1, "no TLS on this connection"),
        (by_name, 1, "contradicts the mechanism"),
        (by_name_and_header, 5, "somebody sits between"),
        (altogether, 3, "bad-credentials"),
    ] {
        let outcome = attack(fresh_disguise().0, Trick::Strip(plain.address(), tamper));
        assert_held_off(&outcome, code, words);
    }
    assert_never_there(&mut bob);
}

#[test]
fn a_bit_that_flips_in_a_proof_is_noticed() {
    /// Changes the first letter behind `mark`: not the last one, which base64 may ignore.
    fn flip(body: String, mark: &str) -> Option<String> {
        let Some((start, rest)) = body.split_once(mark) else { return Some(body) };
        let (first, rest) = rest.split_at(1);
        let other = if first == "A" { "B" } else { "A" };
        Some(format!("{start}{mark}{other}{rest}"))
    }
    fn flip_proof(sender: Sender, body: String) -> Option<String> {
        if sender == Sender::Client { flip(body, ",p=") } else { Some(body) }
    }
    fn flip_final(sender: Sender, body: String) -> Option<String> {
        if sender == Sender::Server { flip(body, "\nv=") } else { Some(body) }
    }
    // Bound to its connection, a log-in fails before anybody looks at the proof.
    let server = Server::usual();
    let outcome = attack(fresh_disguise().0, Trick::Relay(server.address(), flip_proof));
    assert_held_off(&outcome, 5, "somebody sits between");

    let plain = Server::plain();
    for (tamper, code, words) in
        [(flip_proof as Tamper, 3, "bad-credentials"), (flip_final, 5, "could not prove")]
    {
        let outcome = attack(None, Trick::Relay(plain.address(), tamper));
        assert_held_off(&outcome, code, words);
    }
}

#[test]
fn a_swallowed_warning_lets_nobody_in() {
    fn without_goodbye(_: Sender, body: String) -> Option<String> {
        (!body.starts_with("goodbye")).then_some(body)
    }
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let outcome = attack(fresh_disguise().0, Trick::Relay(server.address(), without_goodbye));
    assert_held_off(&outcome, 1, "before the log-in was done");
    assert_never_there(&mut bob);
}

/// What an impostor answers to `hello`, and to `auth` with a nonce made of the client's.
fn begin(body: &str, server_first: impl Fn(&str) -> String) -> Vec<String> {
    if body.starts_with("hello") {
        return vec!["hello 1".to_owned()];
    }
    let nonce = body.starts_with("auth").then(|| body.rsplit_once(",r=").unwrap().1);
    nonce.map(|nonce| format!("challenge\n{}", server_first(nonce))).into_iter().collect()
}

/// A challenge like the server's.
fn plausible(nonce: &str) -> String {
    format!("r={nonce}more,s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096")
}

#[test]
fn an_impostor_cannot_prove_that_he_is_the_server() {
    const WELCOME: &str = "welcome ada\nv=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let made_up: fn(&str) -> Vec<String> =
        |body| if body.starts_with("proof") { vec![WELCOME.to_owned()] } else { begin(body, plausible) };
    let somebody_else: fn(&str) -> Vec<String> = |body| {
        if body.starts_with("proof") { vec![WELCOME.replace("ada", "bob")] } else { begin(body, plausible) }
    };
    let no_proof: fn(&str) -> Vec<String> = |body| {
        if body.starts_with("proof") { vec!["welcome ada\n".to_owned()] } else { begin(body, plausible) }
    };
    let at_once: fn(&str) -> Vec<String> =
        |body| if body.starts_with("auth") { vec![WELCOME.to_owned()] } else { begin(body, plausible) };
    let once_more: fn(&str) -> Vec<String> = |body| {
        if body.starts_with("proof") {
            vec![format!("challenge\n{}", plausible("again"))]
        } else {
            begin(body, plausible)
        }
    };
    let cheap: fn(&str) -> Vec<String> = |body| begin(body, |nonce| format!("r={nonce}more,s=c2FsdA==,i=1"));
    let dear: fn(&str) -> Vec<String> =
        |body| begin(body, |nonce| format!("r={nonce}more,s=c2FsdA==,i=4294967295"));
    let replayed: fn(&str) -> Vec<String> = |body| begin(body, |_| plausible("yesterday"));
    let echoed: fn(&str) -> Vec<String> = |body| begin(body, |nonce| format!("r={nonce},s=c2FsdA==,i=4096"));
    for (answer, words) in [
        (made_up, "could not prove"),
        (somebody_else, "somebody else"),
        (no_proof, "signature"),
        (at_once, "out of turn"),
        (once_more, "out of turn"),
        (cheap, "rounds"),
        (dear, "rounds"),
        (replayed, "another log-in"),
        (echoed, "another log-in"),
    ] {
        let outcome = attack(fresh_disguise().0, Trick::Impostor(answer));
        assert_held_off(&outcome, 5, words);
        let tries = outcome.overheard.iter().filter(|(_, body)| body.starts_with("auth")).count();
        assert_eq!(tries, 1);
    }
}

#[test]
fn a_server_that_speaks_together_with_its_handshake_is_heard_from_its_first_byte() {
    let mut hasty = (*fresh_disguise().0.unwrap()).clone();
    hasty.send_half_rtt_data = true;
    let trick = Trick::Impostor(|body| match body {
        "" => vec!["login-refused busy 0\nfull".to_owned(), "goodbye login\nfull".to_owned()],
        _ => Vec::new(),
    });
    let outcome = attack(Some(Arc::new(hasty)), trick);
    assert_held_off(&outcome, 3, r#""code":"busy""#);
}

#[test]
fn a_known_servers_place_taken_by_somebody_else_is_told_nothing() {
    let data = tempfile::TempDir::new().unwrap();
    let home = Home::new();
    let setup = ServerSetup { data_dir: Some(data.path()), ..ServerSetup::default() };
    let mut before = Server::start(&setup);
    let (place, old) = (before.address(), before.fingerprint());
    home.visit(place, "ada", &[]).expect("login");
    before.terminate_with("TERM");
    assert_eq!(before.wait(), 0);

    let server = Server::start(&setup);
    let mut bob = Client::login(&server, "bob");
    let (disguise, new) = fresh_disguise();
    let middleman = Middleman::start(place, disguise, Trick::Relay(server.address(), unchanged));
    home.assert_turned_away(place, &["--accept-new"], 5, &["HAS CHANGED", &old, &new]);
    assert_eq!(middleman.overheard(), []);
    assert_eq!(home.known_hosts(), format!("{place} {old}\n"));
    assert_not_there_with(&mut bob);
}

#[test]
fn the_servers_certificate_is_of_no_use_without_its_key() {
    let data = tempfile::TempDir::new().unwrap();
    let server = Server::start(&ServerSetup { data_dir: Some(data.path()), ..ServerSetup::default() });
    let shown = CertificateDer::from_pem_file(data.path().join("certificate.pem")).unwrap();
    let key = PrivateKeyDer::try_from(rcgen::KeyPair::generate().unwrap().serialize_der()).unwrap();
    let stolen = CertifiedKey::new(vec![shown], ring::sign::any_supported_type(&key).unwrap());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));

    let home = Home::new();
    let trick = Trick::Relay(server.address(), unchanged);
    let middleman = Middleman::start(anywhere(), Some(Arc::new(config)), trick);
    let args = ["--fingerprint", &server.fingerprint()];
    let said = home.assert_turned_away(
        middleman.address(),
        &args,
        1,
        &["the key it shows", "Somebody may sit between"],
    );
    // Who would follow that would give him everything.
    assert!(!said.contains("--no-tls"), "{said}");
    assert_eq!(home.known_hosts(), "");
    assert_eq!(middleman.overheard(), []);
}
