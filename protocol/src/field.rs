//! How each type stands in a field of a line. A field is never empty and holds no space and no control
//! character; every implementation here can only write such, so no value can break out of its field.

use core::net::SocketAddr;
use std::fmt::Write;

use crate::{
    codes::Word, message::MessageId, message::RequestId, message::TicketId, time::UnixMs, username::Username,
};

/// A type that travels as one field.
pub trait Field: Sized {
    /// Appends the field's characters.
    fn write(&self, line: &mut String);

    /// The value, if `field` is written exactly as [`Field::write`] would.
    fn read(field: &str) -> Option<Self>;
}

impl<T: Word> Field for T {
    fn write(&self, line: &mut String) {
        line.push_str(self.word());
    }

    fn read(field: &str) -> Option<Self> {
        Self::from_word(field)
    }
}

impl Field for u32 {
    fn write(&self, line: &mut String) {
        write_number(u64::from(*self), line);
    }

    fn read(field: &str) -> Option<Self> {
        read_number(field)?.try_into().ok()
    }
}

impl Field for u64 {
    fn write(&self, line: &mut String) {
        write_number(*self, line);
    }

    fn read(field: &str) -> Option<Self> {
        read_number(field)
    }
}

impl Field for bool {
    fn write(&self, line: &mut String) {
        line.push(if *self { '1' } else { '0' });
    }

    fn read(field: &str) -> Option<Self> {
        match field {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }
}

impl Field for RequestId {
    fn write(&self, line: &mut String) {
        self.0.write(line);
    }

    fn read(field: &str) -> Option<Self> {
        u32::read(field).map(Self)
    }
}

impl Field for UnixMs {
    fn write(&self, line: &mut String) {
        self.0.write(line);
    }

    fn read(field: &str) -> Option<Self> {
        u64::read(field).map(Self)
    }
}

impl Field for MessageId {
    fn write(&self, line: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(line, "{self}");
    }

    fn read(field: &str) -> Option<Self> {
        field.parse().ok()
    }
}

impl Field for TicketId {
    fn write(&self, line: &mut String) {
        let _ = write!(line, "{self}");
    }

    fn read(field: &str) -> Option<Self> {
        field.parse().ok()
    }
}

impl Field for Username {
    fn write(&self, line: &mut String) {
        line.push_str(self.as_str());
    }

    fn read(field: &str) -> Option<Self> {
        field.parse().ok()
    }
}

impl Field for SocketAddr {
    fn write(&self, line: &mut String) {
        let _ = write!(line, "{self}");
    }

    /// Without a scope, which means nothing to another machine.
    fn read(field: &str) -> Option<Self> {
        field.parse().ok().filter(|address: &Self| !field.contains('%') && address.to_string() == field)
    }
}

fn write_number(number: u64, line: &mut String) {
    let _ = write!(line, "{number}");
}

/// Decimal digits without sign or leading zeros, so that a number has one spelling.
fn read_number(field: &str) -> Option<u64> {
    let plain = field.bytes().all(|b| b.is_ascii_digit()) && (field == "0" || !field.starts_with('0'));
    if plain { field.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codes::{ErrorCode, GoodbyeReason, LoginRefusal, PresenceChange, Purpose},
        scram::Mechanism,
    };

    #[test]
    fn numbers_have_one_spelling() {
        for odd in ["", "+1", "-1", "01", "00", "1 ", "0x1", "18446744073709551616", "١"] {
            assert_eq!(u64::read(odd), None, "{odd:?}");
        }
        assert_eq!(u64::read("18446744073709551615"), Some(u64::MAX));
        assert_eq!(u32::read("4294967296"), None);
    }

    #[test]
    fn every_word_reads_back_and_is_told_apart() {
        fn check<T: Word + PartialEq + std::fmt::Debug>() {
            for &member in T::ALL {
                let mut line = String::new();
                member.write(&mut line);
                assert_eq!(T::read(&line), Some(member));
                assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            }
            assert_eq!(T::read("no-such-word"), None);
        }
        check::<ErrorCode>();
        check::<GoodbyeReason>();
        check::<LoginRefusal>();
        check::<Mechanism>();
        check::<PresenceChange>();
        check::<Purpose>();
    }
}
