//! The grammar that both ends share: RFC 5802 section 7, taken strictly.
//!
//! Owns the reading of fields and the names of what can be wrong with one. Must not know keys or who speaks when.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::SALT_LEN_MAX;

/// Random bytes behind a nonce: 144 bits never come twice, and base64 of 18 needs no padding.
pub const NONCE_RANDOM_LEN: usize = 18;

/// Bytes of the longest nonce taken from one end, so that no message outgrows a frame.
pub const NONCE_LEN_MAX: usize = 128;

/// Whether a log-in is bound to its TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Not bound.
    Sha256,
    /// Bound by `tls-exporter`.
    Sha256Plus,
}

impl Mechanism {
    /// The mechanism of this name in the IANA registry.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha256Plus].into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Its name in the IANA registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// The GS2 header that a client-first begins with. There is one for each mechanism, because nobody logs in on
    /// behalf of another.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Sha256 => "n,,",
            Self::Sha256Plus => "p=tls-exporter,,",
        }
    }
}

/// One end's nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(pub(super) String);

impl Nonce {
    /// `random` must never come twice.
    pub fn new(random: [u8; NONCE_RANDOM_LEN]) -> Self {
        Self(STANDARD.encode(random))
    }

    pub(super) fn parse(text: &str) -> Result<Self, MessageError> {
        let legal = (1..=NONCE_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if legal { Ok(Self(text.to_owned())) } else { Err(MessageError::Nonce) }
    }
}

/// What is wrong with a message that does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The channel binding flag or the authorization identity.
    #[error("the log-in message does not begin with a proper header")]
    Header,
    /// `m=`.
    #[error("the log-in message demands an extension that is not supported")]
    MandatoryExtension,
    /// An optional extension.
    #[error("the log-in message has a malformed extension")]
    Extension,
    /// `n=`.
    #[error("the username in the log-in message is missing or malformed")]
    Username,
    /// `r=`.
    #[error("the nonce in the log-in message is missing, malformed or too long")]
    Nonce,
    /// `s=`.
    #[error("the salt in the log-in message is missing, malformed or too long")]
    Salt,
    /// `i=`.
    #[error("the iteration count in the log-in message is missing or malformed")]
    Iterations,
    /// `c=`.
    #[error("the channel binding in the log-in message is missing or malformed")]
    Binding,
    /// `p=`.
    #[error("the proof in the log-in message is missing or malformed")]
    Proof,
    /// `v=`.
    #[error("the server's signature in the log-in message is missing or malformed")]
    Signature,
}

/// The value of `field` if it begins with `name`, for instance `r=`; else the error that says so.
pub(super) fn value<'a>(
    field: Option<&'a str>,
    name: &str,
    error: MessageError,
) -> Result<&'a str, MessageError> {
    field.and_then(|field| field.strip_prefix(name)).ok_or(error)
}

/// Refuses a message whose first field demands an extension: none is known.
pub(super) fn refuse_mandatory_extension(message: &str) -> Result<(), MessageError> {
    if message.starts_with("m=") { Err(MessageError::MandatoryExtension) } else { Ok(()) }
}

/// Checks the form of the fields after the known ones, whose meaning is ignored as RFC 5802 demands.
pub(super) fn check_extensions<'a>(fields: impl Iterator<Item = &'a str>) -> Result<(), MessageError> {
    // A second `r=` or `p=` is no extension but a message with two meanings.
    const KNOWN: &str = "anmrcsipve";
    for field in fields {
        let mut chars = field.chars();
        let name = chars.next().filter(|&name| name.is_ascii_alphabetic() && !KNOWN.contains(name));
        let legal = name.is_some() && chars.next() == Some('=') && !chars.as_str().is_empty();
        if !legal || field.contains('\0') {
            return Err(MessageError::Extension);
        }
    }
    Ok(())
}

/// A username with the two characters escaped that the grammar needs.
pub(super) fn escape(username: &str) -> String {
    username.replace('=', "=3D").replace(',', "=2C")
}

/// The opposite of [`escape`]; `None` for an empty name, another escape, a comma or NUL.
pub(super) fn unescape(saslname: &str) -> Option<String> {
    let mut pieces = saslname.split('=');
    let mut username = pieces.next()?.to_owned();
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix("2C") {
            username.push(',');
            username.push_str(rest);
        } else {
            username.push('=');
            username.push_str(piece.strip_prefix("3D")?);
        }
    }
    (!username.is_empty() && !saslname.contains([',', '\0'])).then_some(username)
}

/// A salt of a length within bounds.
pub(super) fn salt(base64: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64).ok().filter(|salt| (1..=SALT_LEN_MAX).contains(&salt.len()))
}

/// A count as the grammar writes it: neither sign nor leading zero. Its bounds are not checked yet.
pub(super) fn count(text: &str) -> Option<u32> {
    let legal = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| legal)
}

/// The field `c=`: the header, then the binding data if the log-in is bound.
pub(super) fn binding_field(mechanism: Mechanism, binding: &[u8]) -> String {
    let mut bytes = mechanism.header().as_bytes().to_vec();
    bytes.extend_from_slice(binding);
    format!("c={}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_have_names() {
        for mechanism in [Mechanism::Sha256, Mechanism::Sha256Plus] {
            assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        }
        assert_eq!(Mechanism::from_name("SCRAM-SHA-1"), None);
    }

    #[test]
    fn usernames_come_back() {
        for username in ["ada", "a,b", "a=b", "=2C", "=,=,", "\u{e9}\u{1f98a}"] {
            assert_eq!(unescape(&escape(username)).as_deref(), Some(username));
        }
        assert_eq!(escape("a=b,c"), "a=3Db=2Cc");
    }

    #[test]
    fn malformed_usernames_are_refused() {
        for saslname in ["", "a=", "a=2c", "a=3d", "a=41", "=", "a\0", "a=3", "a,b"] {
            assert_eq!(unescape(saslname), None, "{saslname:?}");
        }
    }

    #[test]
    fn nonces_are_printable_and_bounded() {
        assert!(Nonce::parse(&"~".repeat(NONCE_LEN_MAX)).is_ok());
        for text in ["", "a b", "a,b", "a\u{e9}", "a\x7f", &"~".repeat(NONCE_LEN_MAX + 1)] {
            assert_eq!(Nonce::parse(text), Err(MessageError::Nonce), "{text:?}");
        }
        assert_eq!(Nonce::parse(&Nonce::new([0xFF; NONCE_RANDOM_LEN]).0).unwrap().0.len(), 24);
    }

    #[test]
    fn counts_are_plain_digits() {
        assert_eq!(count("4096"), Some(4096));
        for text in ["", "0", "+4096", "-1", "04096", " 4096", "4096 ", "4e3", "4294967296"] {
            assert_eq!(count(text), None, "{text:?}");
        }
    }

    #[test]
    fn salts_are_canonical_and_bounded() {
        assert_eq!(salt("c2FsdA==").as_deref(), Some(&b"salt"[..]));
        assert!(salt(&STANDARD.encode([0; SALT_LEN_MAX])).is_some());
        for text in ["", "c2FsdA", "c2FsdB==", "c2Fsd-==", &STANDARD.encode([0; SALT_LEN_MAX + 1])] {
            assert_eq!(salt(text), None, "{text:?}");
        }
    }

    #[test]
    fn extensions_must_be_well_formed_and_new() {
        assert_eq!(check_extensions(["x=1", "Y=a=b", "z=\u{e9}"].into_iter()), Ok(()));
        for field in ["", "x", "x=", "1=a", "xy=a", "\u{e9}=a", "x=a\0", "r=again", "p=again", "m=late"] {
            assert_eq!(check_extensions([field].into_iter()), Err(MessageError::Extension), "{field:?}");
        }
    }
}
