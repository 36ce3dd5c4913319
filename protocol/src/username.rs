//! Usernames: parsed once at the edge, then passed as a type.
//!
//! Owns the rule of what a name may hold. Must not know who has an account.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::printable::Printable;

/// The most characters in a name.
pub const USERNAME_CHARS_MAX: usize = 32;

/// A valid username: 1 to 32 letters or digits of any script, `_`, `-` or `.`. No name is reserved. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Arc<str>);

/// Why a string is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UsernameError {
    /// Nothing there.
    #[error("a username has at least one character")]
    Empty,
    /// Over 32 characters.
    #[error("a username has at most {USERNAME_CHARS_MAX} characters")]
    TooLong,
    /// A character outside the allowed set.
    #[error("a username consists of letters, digits, '_', '-' and '.'; '{}' is none of them", Printable(.0.encode_utf8(&mut [0; 4])))]
    Character(char),
}

impl Username {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = UsernameError;

    fn from_str(name: &str) -> Result<Self, UsernameError> {
        if name.is_empty() {
            return Err(UsernameError::Empty);
        }
        if name.chars().nth(USERNAME_CHARS_MAX).is_some() {
            return Err(UsernameError::TooLong);
        }
        match name.chars().find(|&c| !is_allowed(c)) {
            Some(odd) => Err(UsernameError::Character(odd)),
            None => Ok(Self(name.into())),
        }
    }
}

fn is_allowed(c: char) -> bool {
    // Unicode counts the Hangul fillers as letters, but nobody can see them.
    let is_filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    matches!(c, '_' | '-' | '.') || (c.is_alphanumeric() && !is_filler)
}

impl Borrow<str> for Username {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_script_and_no_reserved_name() {
        for name in ["a", "server", "server-p2p-file", "Ωμέγα", "张伟", "o.k_-9", &"x".repeat(32)] {
            assert_eq!(name.parse::<Username>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_could_break_a_line_or_a_screen_is_refused() {
        assert_eq!("".parse::<Username>(), Err(UsernameError::Empty));
        assert_eq!("x".repeat(33).parse::<Username>(), Err(UsernameError::TooLong));
        for odd in
            [' ', '\n', '\r', '\0', '\u{1b}', '\u{202e}', '\u{200b}', '<', '/', ':', '\u{feff}', '\u{300}']
        {
            assert_eq!(format!("a{odd}b").parse::<Username>(), Err(UsernameError::Character(odd)));
        }
    }

    #[test]
    fn letters_that_cannot_be_seen_are_refused() {
        for unseen in ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'] {
            assert_eq!(format!("ada{unseen}").parse::<Username>(), Err(UsernameError::Character(unseen)));
        }
        assert!("\u{1100}\u{1161}".parse::<Username>().is_ok(), "their visible neighbours are letters");
    }
}
