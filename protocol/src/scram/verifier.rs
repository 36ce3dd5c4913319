//! What a server stores in place of a password, in the form `PostgreSQL` writes.
//!
//! Owns the form. Must not know files or accounts.

use std::fmt;
use std::str::FromStr;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::keys::{ITERATIONS_MAX, ITERATIONS_MIN, Iterations, Key, SALT_LEN_MAX, SaltedPassword};
use super::message;

const PREFIX: &str = "SCRAM-SHA-256$";

/// Enough to check a password's proof, but not to make one: whoever steals it must still guess the password.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Rounds of the derivation.
    pub iterations: Iterations,
    /// Told to whoever names the user.
    pub salt: Vec<u8>,
    /// Checks the client's proof.
    pub stored_key: Key,
    /// Signs the server's answer.
    pub server_key: Key,
}

impl Verifier {
    /// As slow as [`SaltedPassword::derive`].
    pub fn derive(password: &str, salt: &[u8], iterations: Iterations) -> Self {
        let salted = SaltedPassword::derive(password, salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: salted.client_key().sha256(),
            server_key: salted.server_key(),
        }
    }

    /// Whether `text` is meant as a verifier, well-formed or not, rather than as a plain password.
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            Base64Display::new(&self.salt, &STANDARD),
            self.stored_key.to_base64(),
            self.server_key.to_base64()
        )
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let rest = text.strip_prefix(PREFIX).ok_or(VerifierError::Prefix)?;
        let (iterations, rest) = rest.split_once(':').ok_or(VerifierError::Iterations)?;
        let iterations =
            message::count(iterations).and_then(Iterations::new).ok_or(VerifierError::Iterations)?;
        let (salt, keys) = rest.split_once('$').ok_or(VerifierError::Salt)?;
        let salt = message::salt(salt).ok_or(VerifierError::Salt)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError::StoredKey)?;
        let stored_key = Key::from_base64(stored_key).ok_or(VerifierError::StoredKey)?;
        let server_key = Key::from_base64(server_key).ok_or(VerifierError::ServerKey)?;
        Ok(Self { iterations, salt, stored_key, server_key })
    }
}

/// The first part of a stored verifier that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// The name of the mechanism.
    #[error("a stored verifier must begin with `{PREFIX}`")]
    Prefix,
    /// The count of rounds.
    #[error("the verifier's iteration count must be a number from {ITERATIONS_MIN} to {ITERATIONS_MAX}")]
    Iterations,
    /// The salt.
    #[error("the verifier's salt must be 1 to {SALT_LEN_MAX} bytes in base64")]
    Salt,
    /// The first key.
    #[error("the verifier's StoredKey must be 32 bytes in base64")]
    StoredKey,
    /// The second key.
    #[error("the verifier's ServerKey must be 32 bytes in base64, and the last part")]
    ServerKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `PostgreSQL` stores for "pencil" with the salt of RFC 7677, computed by another implementation.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                          wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    const STORED_KEY: &str = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";

    #[test]
    fn derivation_and_form_are_those_of_postgresql() {
        let salt = message::salt("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let derived = Verifier::derive("pencil", &salt, Iterations::new(4096).unwrap());
        assert_eq!(derived.to_string(), PENCIL);
    }

    #[test]
    fn text_comes_back() {
        assert_eq!(PENCIL.parse::<Verifier>().unwrap().to_string(), PENCIL);
        let derived = Verifier::derive("x", &[0xFF; SALT_LEN_MAX], Iterations::new(5000).unwrap());
        assert_eq!(derived.to_string().parse::<Verifier>().unwrap().to_string(), derived.to_string());
    }

    #[test]
    fn errors_name_the_part() {
        use VerifierError::{Iterations, Prefix, Salt, ServerKey, StoredKey};
        let cases = [
            ("", Prefix),
            ("scram-sha-256$4096", Prefix),
            ("md5d41d8cd98f00b204e9800998ecf8427e", Prefix),
            ("SCRAM-SHA-256$", Iterations),
            ("SCRAM-SHA-256$4096", Iterations),
            ("SCRAM-SHA-256$4095:c2FsdA==$", Iterations),
            ("SCRAM-SHA-256$10000001:c2FsdA==$", Iterations),
            ("SCRAM-SHA-256$+4096:c2FsdA==$", Iterations),
            ("SCRAM-SHA-256$4096:", Salt),
            ("SCRAM-SHA-256$4096:$", Salt),
            ("SCRAM-SHA-256$4096:c2FsdA$", Salt),
            ("SCRAM-SHA-256$4096:c2FsdA==$", StoredKey),
            ("SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:", StoredKey),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Verifier>().unwrap_err(), error, "{text}");
        }
        for tail in ["", "c2FsdA==", &format!("{STORED_KEY} "), &format!("{STORED_KEY}:{STORED_KEY}")] {
            let text = format!("SCRAM-SHA-256$4096:c2FsdA==${STORED_KEY}:{tail}");
            assert_eq!(text.parse::<Verifier>().unwrap_err(), ServerKey, "{text}");
        }
    }

    #[test]
    fn is_told_from_a_password_by_its_prefix() {
        assert!(Verifier::looks_like(PENCIL));
        assert!(Verifier::looks_like("SCRAM-SHA-256$broken"));
        assert!(!Verifier::looks_like("SCRAM-SHA-256"));
        assert!(!Verifier::looks_like("grace"));
    }

    #[test]
    fn debug_hides_the_keys() {
        let shown = format!("{:?}", PENCIL.parse::<Verifier>().unwrap());
        assert!(shown.ends_with("stored_key: [redacted], server_key: [redacted] }"), "{shown}");
    }
}
