//! The client's half of a log-in.
//!
//! Owns what a client must check of a server it does not trust yet. Must not know where passwords come from.

use std::fmt;

use super::keys::{ITERATIONS_MAX, ITERATIONS_MIN, Iterations, Key, SaltedPassword};
use super::message::{self, Mechanism, MessageError, Nonce};

/// A client-first that went out and awaits its challenge.
pub struct ClientFirst {
    mechanism: Mechanism,
    binding: Vec<u8>,
    nonce: Nonce,
    /// The message without its header, which both ends sign.
    bare: String,
}

impl ClientFirst {
    /// Makes a client-first. `binding` is the connection's `tls-exporter` data, if it has TLS.
    pub fn new(username: &str, nonce: Nonce, binding: Option<Vec<u8>>) -> (Self, String) {
        let mechanism = if binding.is_some() { Mechanism::Sha256Plus } else { Mechanism::Sha256 };
        let bare = format!("n={},r={}", message::escape(username), nonce.0);
        let text = format!("{}{bare}", mechanism.header());
        (Self { mechanism, binding: binding.unwrap_or_default(), nonce, bare }, text)
    }

    /// What the server must be told beside the message.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Reads the server-first.
    pub fn read_challenge(self, server_first: &str) -> Result<Challenge, ClientError> {
        message::refuse_mandatory_extension(server_first)?;
        let mut fields = server_first.split(',');
        let nonce = message::value(fields.next(), "r=", MessageError::Nonce)?;
        let salt = message::value(fields.next(), "s=", MessageError::Salt)?;
        let rounds = message::value(fields.next(), "i=", MessageError::Iterations)?;
        message::check_extensions(fields)?;
        let of_server = nonce.strip_prefix(&self.nonce.0).ok_or(ClientError::NonceMismatch)?;
        if of_server.is_empty() {
            return Err(ClientError::NonceMismatch);
        }
        Nonce::parse(of_server)?;
        let salt = message::salt(salt).ok_or(MessageError::Salt)?;
        let rounds = message::count(rounds).ok_or(MessageError::Iterations)?;
        let iterations = Iterations::new(rounds).ok_or(ClientError::Iterations(rounds))?;

        let unsigned = format!("{},r={nonce}", message::binding_field(self.mechanism, &self.binding));
        let transcript = format!("{},{server_first},{unsigned}", self.bare);
        Ok(Challenge { salt, iterations, unsigned, transcript })
    }
}

impl fmt::Debug for ClientFirst {
    /// Without the binding data, which is derived from the TLS connection's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFirst")
            .field("mechanism", &self.mechanism)
            .field("bare", &self.bare)
            .finish_non_exhaustive()
    }
}

/// A challenge that awaits the password, salted as it says.
pub struct Challenge {
    salt: Vec<u8>,
    iterations: Iterations,
    /// The client-final without its proof.
    unsigned: String,
    /// What both ends sign.
    transcript: String,
}

impl Challenge {
    /// For [`SaltedPassword::derive`].
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// For [`SaltedPassword::derive`].
    pub fn iterations(&self) -> Iterations {
        self.iterations
    }

    /// Makes the client-final. The server refuses it unless `salted` is for this salt and count.
    pub fn answer(self, salted: &SaltedPassword) -> (Answer, String) {
        let transcript = self.transcript.as_bytes();
        let client_key = salted.client_key();
        let proof = client_key.sha256().hmac(transcript).xor(&client_key);
        let text = format!("{},p={}", self.unsigned, proof.to_base64());
        (Answer { signature: salted.server_key().hmac(transcript) }, text)
    }
}

impl fmt::Debug for Challenge {
    /// Without the texts, which hold the binding data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("salt", &self.salt)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// An answer that went out and awaits the server's own proof.
#[derive(Debug)]
pub struct Answer {
    /// Only who holds the verifier can make it.
    signature: Key,
}

impl Answer {
    /// Reads the server-final. Until this is `Ok`, the server may be anybody.
    pub fn verify(self, server_final: &str) -> Result<(), ClientError> {
        let mut fields = server_final.split(',');
        let signature = message::value(fields.next(), "v=", MessageError::Signature)?;
        message::check_extensions(fields)?;
        let signature = Key::from_base64(signature).ok_or(MessageError::Signature)?;
        if self.signature.equals(&signature) { Ok(()) } else { Err(ClientError::ServerUnproven) }
    }
}

/// Why a client breaks a log-in off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A message that does not follow the grammar.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The server-first answers another client-first, or adds nothing of the server's own.
    #[error("the server answered another log-in")]
    NonceMismatch,
    /// A count out of bounds.
    #[error(
        "the server asks for {0} rounds of key derivation; {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted"
    )]
    Iterations(u32),
    /// The signature is not that of the password's verifier.
    #[error("the server could not prove that it knows the password: it is not the one it claims to be")]
    ServerUnproven,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> ClientFirst {
        ClientFirst::new("a,b=", Nonce("abc".to_owned()), None).0
    }

    fn refused(server_first: &str) -> ClientError {
        first().read_challenge(server_first).expect_err(server_first)
    }

    #[test]
    fn the_mechanism_follows_the_connection() {
        let (first, text) = ClientFirst::new("a,b=", Nonce("abc".to_owned()), None);
        assert_eq!((first.mechanism(), text.as_str()), (Mechanism::Sha256, "n,,n=a=2Cb=3D,r=abc"));
        let (first, text) = ClientFirst::new("ada", Nonce("abc".to_owned()), Some(vec![1; 32]));
        assert_eq!(
            (first.mechanism(), text.as_str()),
            (Mechanism::Sha256Plus, "p=tls-exporter,,n=ada,r=abc")
        );
    }

    #[test]
    fn the_challenge_says_what_to_derive() {
        let challenge = first().read_challenge("r=abcd,s=c2FsdA==,i=4096,x=ignored").unwrap();
        assert_eq!((challenge.salt(), challenge.iterations().get()), (&b"salt"[..], 4096));
        let salted = SaltedPassword::derive("pencil", challenge.salt(), challenge.iterations());
        assert!(salted.is_for(challenge.salt(), challenge.iterations()));
        assert!(!salted.is_for(b"other", challenge.iterations()));
        assert!(!salted.is_for(challenge.salt(), Iterations::DEFAULT));
    }

    #[test]
    fn hostile_challenges_are_refused() {
        for text in ["r=abc,s=c2FsdA==,i=4096", "r=xbcd,s=c2FsdA==,i=4096", "r=,s=c2FsdA==,i=4096"] {
            assert_eq!(refused(text), ClientError::NonceMismatch, "{text}");
        }
        for rounds in [1, ITERATIONS_MIN - 1, ITERATIONS_MAX + 1, u32::MAX] {
            assert_eq!(refused(&format!("r=abcd,s=c2FsdA==,i={rounds}")), ClientError::Iterations(rounds));
        }
        for rounds in [ITERATIONS_MIN, ITERATIONS_MAX] {
            assert!(first().read_challenge(&format!("r=abcd,s=c2FsdA==,i={rounds}")).is_ok());
        }
    }

    #[test]
    fn malformed_challenges_are_refused() {
        use MessageError::{Extension, Iterations, MandatoryExtension, Nonce, Salt};
        let too_long = format!("r=abc{},s=c2FsdA==,i=4096", "d".repeat(message::NONCE_LEN_MAX + 1));
        let cases = [
            ("", Nonce),
            ("e=other-error", Nonce),
            ("m=1,r=abcd,s=c2FsdA==,i=4096", MandatoryExtension),
            ("r=abcd\u{e9},s=c2FsdA==,i=4096", Nonce),
            (&too_long, Nonce),
            ("r=abcd", Salt),
            ("r=abcd,s=,i=4096", Salt),
            ("r=abcd,i=4096,s=c2FsdA==", Salt),
            ("r=abcd,s=c2FsdA==", Iterations),
            ("r=abcd,s=c2FsdA==,i=0", Iterations),
            ("r=abcd,s=c2FsdA==,i=99999999999", Iterations),
            ("r=abcd,s=c2FsdA==,i=4096,i=5000", Extension),
        ];
        for (text, error) in cases {
            assert_eq!(refused(text), error.into(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let (first, _) = ClientFirst::new("ada", Nonce("abc".to_owned()), Some(vec![0xA5; 32]));
        let shown = format!("{first:?}");
        assert_eq!(shown, r#"ClientFirst { mechanism: Sha256Plus, bare: "n=ada,r=abc", .. }"#);
        let challenge = first.read_challenge("r=abcd,s=c2FsdA==,i=4096").unwrap();
        assert_eq!(
            format!("{challenge:?}"),
            "Challenge { salt: [115, 97, 108, 116], iterations: Iterations(4096), .. }"
        );
        let salted = SaltedPassword::derive("pencil", challenge.salt(), challenge.iterations());
        assert_eq!(format!("{:?}", challenge.answer(&salted).0), "Answer { signature: [redacted] }");
    }
}
