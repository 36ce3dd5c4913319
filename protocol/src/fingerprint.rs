//! The fingerprint of a public key: what people compare and programs pin.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use thiserror::Error;

use crate::field::Field;

const PREFIX: &str = "SHA256:";

/// The SHA-256 of a public key in its DER form (`SubjectPublicKeyInfo`, RFC 5280), so that a certificate may be
/// renewed without a new fingerprint. Written like `ssh` writes them: `SHA256:` and base64 without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a public key's DER.
    pub fn of_key(public_key: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, public_key);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

/// Not `SHA256:` and the base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a fingerprint looks like SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(FingerprintError)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| FingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Field for Fingerprint {
    fn write(&self, line: &mut String) {
        line.push_str(&self.to_string());
    }

    fn read(field: &str) -> Option<Self> {
        field.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_one_spelling() {
        let fingerprint = Fingerprint::of_key(b"");
        let text = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.parse(), Ok(fingerprint));
        for odd in [
            "",
            "SHA256:",
            "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            &format!("{text}="),
            &text[7..],
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV",
        ] {
            assert_eq!(odd.parse::<Fingerprint>(), Err(FingerprintError), "{odd}");
        }
    }
}
