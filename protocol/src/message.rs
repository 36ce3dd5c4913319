//! Identities on the wire: of a message for its whole life, of a request on one connection.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// 128 random bits that a message gets from its sender's client and keeps on every resend; 32 hex digits on
/// the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

/// The number a client gives to a request; the one reply to it carries the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// 128 random bits that let one client meet another once; 32 hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub u128);

/// Not 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an id is 32 lower-case hex digits")]
pub struct IdError;

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(digits: &str) -> Result<Self, IdError> {
        parse(digits).map(Self)
    }
}

impl FromStr for TicketId {
    type Err = IdError;

    fn from_str(digits: &str) -> Result<Self, IdError> {
        parse(digits).map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whoever knows it may use it: it stays out of logs.
impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketId(…)")
    }
}

fn parse(digits: &str) -> Result<u128, IdError> {
    let lower_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != 32 || !lower_hex {
        return Err(IdError);
    }
    u128::from_str_radix(digits, 16).map_err(|_| IdError)
}
