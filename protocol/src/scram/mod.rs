//! Log-in by SCRAM-SHA-256 (RFC 5802, 7677), bound to its TLS connection by `tls-exporter` (RFC 9266) if there is
//! one.
//!
//! Owns the four messages, the keys behind them and the stored verifier. Must not know sockets, accounts or limits
//! on tries; nonces, salts and binding data come from the caller. Usernames are Parlour's own and compared as
//! given: only the password goes through `SASLprep`.
//!
//! | message | written by | read by |
//! | --- | --- | --- |
//! | client-first | [`client::ClientFirst::new`] | [`server::ClientFirst::parse`] |
//! | server-first | [`server::ClientFirst::challenge`] | [`client::ClientFirst::read_challenge`] |
//! | client-final | [`client::Challenge::answer`] | [`server::Challenge::verify`] |
//! | server-final | [`server::Challenge::verify`] | [`client::Answer::verify`] |
//!
//! How a refusal travels is up to the frames around these messages: the `e=` of RFC 5802 is neither written nor
//! read.

pub mod client;
mod keys;
mod message;
pub mod server;
mod verifier;

pub use keys::{
    ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, Iterations, KEY_LEN, Key, SALT_LEN_MAX,
    SaltedPassword,
};
pub use message::{Mechanism, MessageError, NONCE_LEN_MAX, NONCE_RANDOM_LEN, Nonce};
pub use verifier::{Verifier, VerifierError};

#[cfg(test)]
mod tests;
