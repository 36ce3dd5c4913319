//! The server's half of a log-in.
//!
//! Owns what a server must check, and in which order it can: the username comes before the verifier is known, and
//! the salt and the count go out before its keys are. Must not know accounts; it is for the caller to challenge an
//! unknown user with a stable salt and a decoy of a verifier.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::keys::{Iterations, Key, equal_in_constant_time};
use super::message::{self, Mechanism, MessageError, Nonce};
use super::verifier::Verifier;

/// A client-first that was read: who wants to log in.
#[derive(Clone, Debug)]
pub struct ClientFirst {
    mechanism: Mechanism,
    username: String,
    nonce: Nonce,
    /// The message without its header, which both ends sign.
    bare: String,
}

impl ClientFirst {
    /// Reads a client-first for the mechanism that the client named outside of it.
    ///
    /// The flag `y` ("I could bind, but you cannot") is refused for either mechanism: over TLS we can, so somebody
    /// in between struck it from our offer, and without TLS there is nothing a client could bind to.
    pub fn parse(text: &str, mechanism: Mechanism) -> Result<Self, ServerError> {
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(MessageError::Header.into());
        };
        check_flag(flag, mechanism)?;
        match authzid {
            "" => {}
            _ if authzid.starts_with("a=") => return Err(ServerError::AuthorizationIdentity),
            _ => return Err(MessageError::Header.into()),
        }
        message::refuse_mandatory_extension(bare)?;
        let mut fields = bare.split(',');
        let username = message::value(fields.next(), "n=", MessageError::Username)?;
        let nonce = message::value(fields.next(), "r=", MessageError::Nonce)?;
        message::check_extensions(fields)?;
        Ok(Self {
            mechanism,
            username: message::unescape(username).ok_or(MessageError::Username)?,
            nonce: Nonce::parse(nonce)?,
            bare: bare.to_owned(),
        })
    }

    /// As the client claims: neither proven nor checked against the rules for usernames.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The client's nonce.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Whether the log-in is bound to its TLS connection.
    pub fn is_bound(&self) -> bool {
        self.mechanism == Mechanism::Sha256Plus
    }

    /// Makes the server-first.
    pub fn challenge(self, salt: &[u8], iterations: Iterations, nonce: &Nonce) -> (Challenge, String) {
        let nonce = format!("{}{}", self.nonce.0, nonce.0);
        let server_first = format!("r={nonce},s={},i={iterations}", Base64Display::new(salt, &STANDARD));
        let transcript = format!("{},{server_first},", self.bare);
        (Challenge { mechanism: self.mechanism, nonce, transcript }, server_first)
    }
}

/// A challenge that went out and awaits its client-final.
#[derive(Debug)]
pub struct Challenge {
    mechanism: Mechanism,
    /// Both ends' nonces, the client's first.
    nonce: String,
    /// What both ends sign, as far as it is known.
    transcript: String,
}

impl Challenge {
    /// Checks a client-final and makes the server-final. A challenge has one try: no second guess at its nonce.
    ///
    /// `binding` is the connection's `tls-exporter` data. A log-in that is not bound leaves it unused, one that is
    /// fails without.
    pub fn verify(
        self,
        client_final: &str,
        verifier: &Verifier,
        binding: Option<&[u8]>,
    ) -> Result<String, ServerError> {
        let (unsigned, proof) = client_final.rsplit_once(",p=").ok_or(MessageError::Proof)?;
        let proof = Key::from_base64(proof).ok_or(MessageError::Proof)?;
        message::refuse_mandatory_extension(unsigned)?;
        let mut fields = unsigned.split(',');
        let bound_to = fields.next().filter(|field| field.starts_with("c=")).ok_or(MessageError::Binding)?;
        let nonce = message::value(fields.next(), "r=", MessageError::Nonce)?;
        message::check_extensions(fields)?;
        if nonce != self.nonce {
            return Err(ServerError::NonceMismatch);
        }
        if !self.is_bound_to(bound_to, binding) {
            return Err(ServerError::BindingMismatch);
        }

        let transcript = [self.transcript.as_bytes(), unsigned.as_bytes()].concat();
        let client_key = verifier.stored_key.hmac(&transcript).xor(&proof);
        if !client_key.sha256().equals(&verifier.stored_key) {
            return Err(ServerError::WrongPassword);
        }
        Ok(format!("v={}", verifier.server_key.hmac(&transcript).to_base64()))
    }

    fn is_bound_to(&self, field: &str, binding: Option<&[u8]>) -> bool {
        let binding = match (self.mechanism, binding) {
            (Mechanism::Sha256, _) => &[],
            (Mechanism::Sha256Plus, Some(binding)) => binding,
            (Mechanism::Sha256Plus, None) => return false,
        };
        // Base64 has one text for some bytes, so comparing texts compares bytes.
        equal_in_constant_time(field.as_bytes(), message::binding_field(self.mechanism, binding).as_bytes())
    }
}

/// Why a log-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// A message that does not follow the grammar.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// `a=`.
    #[error("nobody can log in on behalf of another user")]
    AuthorizationIdentity,
    /// The flag `y`.
    #[error("the client was led to believe that this server has no channel binding")]
    Downgrade,
    /// `n` for the bound mechanism, or `p` for the other.
    #[error("the channel binding flag contradicts the mechanism {}", .0.name())]
    FlagMismatch(Mechanism),
    /// `p=` with another type.
    #[error("the only channel binding supported is tls-exporter")]
    BindingType,
    /// The client-final answers another challenge.
    #[error("the client answered another challenge")]
    NonceMismatch,
    /// The client speaks over another connection than we do.
    #[error("the log-in is bound to another connection: somebody sits in between")]
    BindingMismatch,
    /// The proof does not fit the verifier.
    #[error("wrong username or password")]
    WrongPassword,
}

fn check_flag(flag: &str, mechanism: Mechanism) -> Result<(), ServerError> {
    match (flag, mechanism) {
        ("n", Mechanism::Sha256) | ("p=tls-exporter", Mechanism::Sha256Plus) => Ok(()),
        ("y", _) => Err(ServerError::Downgrade),
        ("n" | "p=tls-exporter", _) => Err(ServerError::FlagMismatch(mechanism)),
        _ if flag.starts_with("p=") => Err(ServerError::BindingType),
        _ => Err(MessageError::Header.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, mechanism: Mechanism) -> ServerError {
        ClientFirst::parse(text, mechanism).expect_err(text)
    }

    #[test]
    fn the_user_is_known_before_the_verifier() {
        let first = ClientFirst::parse("n,,n=a=2Cb=3D,r=abc,x=ignored", Mechanism::Sha256).unwrap();
        assert_eq!((first.username(), first.nonce().0.as_str(), first.is_bound()), ("a,b=", "abc", false));
        let first = ClientFirst::parse("p=tls-exporter,,n=ada,r=abc", Mechanism::Sha256Plus).unwrap();
        assert_eq!((first.username(), first.is_bound()), ("ada", true));
    }

    #[test]
    fn the_flag_must_fit_the_mechanism() {
        use Mechanism::{Sha256, Sha256Plus};
        assert_eq!(refused("y,,n=a,r=b", Sha256), ServerError::Downgrade);
        assert_eq!(refused("y,,n=a,r=b", Sha256Plus), ServerError::Downgrade);
        assert_eq!(refused("n,,n=a,r=b", Sha256Plus), ServerError::FlagMismatch(Sha256Plus));
        assert_eq!(refused("p=tls-exporter,,n=a,r=b", Sha256), ServerError::FlagMismatch(Sha256));
        assert_eq!(refused("p=tls-unique,,n=a,r=b", Sha256Plus), ServerError::BindingType);
    }

    #[test]
    fn malformed_client_firsts_are_refused() {
        use MessageError::{Extension, Header, MandatoryExtension, Nonce, Username};
        let cases = [
            ("", Header),
            ("n", Header),
            ("n,", Header),
            ("N,,n=a,r=b", Header),
            ("p,,n=a,r=b", Header),
            ("n,x,n=a,r=b", Header),
            ("n,,", Username),
            ("n,,m=1,n=a,r=b", MandatoryExtension),
            ("n,,n=,r=b", Username),
            ("n,,n=a=,r=b", Username),
            ("n,,r=b,n=a", Username),
            ("n,,n=a", Nonce),
            ("n,,n=a,r=", Nonce),
            ("n,,n=a,r=b c", Nonce),
            ("n,,n=a,x=1,r=b", Nonce),
            ("n,,n=a,r=b,", Extension),
            ("n,,n=a,r=b,r=c", Extension),
            ("n,,n=a,r=b,m=1", Extension),
        ];
        for (text, error) in cases {
            assert_eq!(refused(text, Mechanism::Sha256), error.into(), "{text}");
        }
        assert_eq!(refused("n,a=eve,n=a,r=b", Mechanism::Sha256), ServerError::AuthorizationIdentity);
    }
}
