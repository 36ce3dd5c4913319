//! From a password to the keys of RFC 5802 section 3.
//!
//! Owns the derivation, its cost, and comparison in constant time. Must not know messages.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Bytes of a SHA-256 output, and so of every key and signature.
pub const KEY_LEN: usize = digest::SHA256_OUTPUT_LEN;

/// Bytes of the longest salt taken from a peer or a file, so that a server-first stays far below a frame.
pub const SALT_LEN_MAX: usize = 64;

/// The fewest rounds taken: what RFC 7677 demands. Fewer would let a hostile server guess the password from the
/// proof cheaply.
pub const ITERATIONS_MIN: u32 = 4096;

/// The rounds of new verifiers: some 25 ms on a desktop processor.
pub const ITERATIONS_DEFAULT: u32 = 100_000;

/// The most rounds taken, some seconds: more would let a hostile server keep a client busy for hours.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// A count of derivation rounds within [`ITERATIONS_MIN`] and [`ITERATIONS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iterations(NonZeroU32);

impl Iterations {
    /// [`ITERATIONS_DEFAULT`].
    pub const DEFAULT: Self = Self(NonZeroU32::new(ITERATIONS_DEFAULT).unwrap());

    /// `None` outside the bounds.
    pub fn new(rounds: u32) -> Option<Self> {
        let rounds = NonZeroU32::new(rounds)?;
        (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&rounds.get()).then_some(Self(rounds))
    }

    /// The plain number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Iterations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key or signature. Neither shown by `Debug` nor comparable by `==`, which would leak where two differ.
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// Takes the bytes as they are: for the decoy of an account that does not exist.
    pub fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// `None` unless `text` is canonical base64 of exactly a key.
    pub(super) fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    pub(super) fn hmac(&self, message: &[u8]) -> Self {
        let mut bytes = [0; KEY_LEN];
        bytes.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message).as_ref());
        Self(bytes)
    }

    pub(super) fn sha256(&self) -> Self {
        let mut bytes = [0; KEY_LEN];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        Self(bytes)
    }

    pub(super) fn xor(&self, other: &Self) -> Self {
        let mut bytes = self.0;
        bytes.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
        Self(bytes)
    }

    /// In constant time.
    pub(super) fn equals(&self, other: &Self) -> bool {
        equal_in_constant_time(&self.0, &other.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the slow derivation yields. As good as the password for its salt, so a client may keep it in memory to log
/// in again at once, but should not store it.
#[derive(Clone, Debug)]
pub struct SaltedPassword {
    salt: Vec<u8>,
    iterations: Iterations,
    key: Key,
}

impl SaltedPassword {
    /// Takes `iterations` rounds of HMAC: not for a thread that must answer others.
    pub fn derive(password: &str, salt: &[u8], iterations: Iterations) -> Self {
        let mut key = [0; KEY_LEN];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations.0,
            salt,
            prepared(password).as_bytes(),
            &mut key,
        );
        Self { salt: salt.to_vec(), iterations, key: Key(key) }
    }

    /// Whether it answers a challenge with this salt and count.
    pub fn is_for(&self, salt: &[u8], iterations: Iterations) -> bool {
        self.salt == salt && self.iterations == iterations
    }

    pub(super) fn client_key(&self) -> Key {
        self.key.hmac(b"Client Key")
    }

    pub(super) fn server_key(&self) -> Key {
        self.key.hmac(b"Server Key")
    }
}

/// Compares HMACs of both, which ring does in constant time; its comparison of plain slices is deprecated.
pub(super) fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

/// `SASLprep`, so that two keyboards that compose letters differently agree.
///
/// It refuses control characters, mixed directions, and every character younger than Unicode 3.2, such as most
/// emoji. Such a password still is one: it is taken as typed, as `PostgreSQL` does, and both ends do alike. So is
/// one of which nothing would be left, lest it equal the empty password.
fn prepared(password: &str) -> Cow<'_, str> {
    match stringprep::saslprep(password) {
        Ok(text) if !text.is_empty() => text,
        _ => Cow::Borrowed(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(password: &str) -> String {
        SaltedPassword::derive(password, b"salt", Iterations::new(ITERATIONS_MIN).unwrap()).key.to_base64()
    }

    #[test]
    fn iterations_are_bounded() {
        for rounds in [0, 1, ITERATIONS_MIN - 1, ITERATIONS_MAX + 1, u32::MAX] {
            assert_eq!(Iterations::new(rounds), None, "{rounds}");
        }
        for rounds in [ITERATIONS_MIN, ITERATIONS_DEFAULT, ITERATIONS_MAX] {
            assert_eq!(Iterations::new(rounds).unwrap().get(), rounds);
        }
        assert_eq!(Iterations::new(ITERATIONS_DEFAULT), Some(Iterations::DEFAULT));
    }

    #[test]
    fn composition_of_letters_does_not_matter() {
        assert_eq!(derived("gr\u{fc}n"), derived("gru\u{308}n"));
        assert_eq!(derived("I\u{ad}X"), derived("IX"));
        assert_eq!(derived("\u{2168}"), derived("IX"));
    }

    #[test]
    fn refused_passwords_are_taken_as_typed() {
        for raw in ["tab\there", "\u{1f98a}", "a\u{627}", "\u{ad}"] {
            assert_eq!(prepared(raw), raw);
        }
        assert_ne!(derived("\u{ad}"), derived(""));
        assert_ne!(derived("\u{1f98a}"), derived("\u{1f98b}"));
    }

    #[test]
    fn comparison_tells_apart() {
        assert!(equal_in_constant_time(b"", b""));
        assert!(equal_in_constant_time(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abc\0", b""] {
            assert!(!equal_in_constant_time(b"abc", other));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Key::new([7; KEY_LEN])), "[redacted]");
        let salted = SaltedPassword::derive("pencil", b"salt", Iterations::new(ITERATIONS_MIN).unwrap());
        assert!(format!("{salted:?}").ends_with("key: [redacted] }"));
    }
}
