//! How a password is read: twice and unseen at a terminal, from a line of standard input elsewhere.
//!
//! Must not show a password, nor keep one longer than its caller does.

use std::io::{self, BufRead, IsTerminal, Read};

use protocol::Username;
use thiserror::Error;

use crate::hub::Password;

/// Bytes of the longest password taken from standard input: no person's is longer, and a wrong file is noticed.
const LEN_MAX: usize = 1_024;

/// Why there is no password. No message shows what was given.
#[derive(Debug, Error)]
pub enum EntryError {
    /// Nothing, or an empty line.
    #[error("an empty password is none; nothing was changed")]
    Empty,
    /// Two different ones.
    #[error("the two entries differ; nothing was changed")]
    Differ,
    /// A line without an end.
    #[error("the first line of standard input is over {LEN_MAX} bytes; that is no password")]
    TooLong,
    /// Bytes that are no text.
    #[error("the password is not UTF-8 text")]
    NotText,
    /// The terminal or the pipe.
    #[error("cannot read the password: {0}")]
    System(io::Error),
}

/// Reads the new password of `user`.
pub(super) fn read(user: &Username) -> Result<Password, EntryError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return from_line(&mut stdin.lock());
    }
    let first = ask(&format!("New password for {user}: "))?;
    if first.is_empty() {
        return Err(EntryError::Empty);
    }
    if first != ask("The same again: ")? {
        return Err(EntryError::Differ);
    }
    Ok(Password::new(&first))
}

fn ask(prompt: &str) -> Result<String, EntryError> {
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => EntryError::Empty,
        io::ErrorKind::InvalidData => EntryError::NotText,
        _ => EntryError::System(error),
    })
}

/// Its end may be missing, or be that of another system.
fn from_line(input: &mut impl BufRead) -> Result<Password, EntryError> {
    let mut line = Vec::new();
    // Room for the end of the line.
    let len_max = LEN_MAX as u64 + 2;
    input.take(len_max).read_until(b'\n', &mut line).map_err(EntryError::System)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        [] => Err(EntryError::Empty),
        _ if line.len() > LEN_MAX => Err(EntryError::TooLong),
        _ => str::from_utf8(line).map(Password::new).map_err(|_| EntryError::NotText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(input: &[u8]) -> Result<String, String> {
        let password = from_line(&mut &*input).map_err(|error| error.to_string())?;
        Ok(password.expose().to_owned())
    }

    #[test]
    fn a_line_is_a_password() {
        for (input, password) in [
            ("sesame", "sesame"),
            ("sesame\n", "sesame"),
            ("sesame\r\n", "sesame"),
            (" two  words \nand no more\n", " two  words "),
            ("пароль\n", "пароль"),
        ] {
            assert_eq!(taken(input.as_bytes()).unwrap(), password);
        }
        let longest = "x".repeat(LEN_MAX);
        assert_eq!(taken(format!("{longest}\r\n").as_bytes()).unwrap(), longest);
    }

    #[test]
    fn other_lines_are_none() {
        for input in ["", "\n", "\r\n", "\nsesame\n"] {
            assert!(taken(input.as_bytes()).unwrap_err().contains("empty"), "{input:?}");
        }
        for len in [LEN_MAX + 1, LEN_MAX * 10] {
            assert!(taken("x".repeat(len).as_bytes()).unwrap_err().contains("over"));
        }
        assert!(taken(b"sesam\xff\n").unwrap_err().contains("UTF-8"));
    }
}
