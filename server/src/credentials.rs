//! The credentials file: a line per user, `username password`, split at the first space.
//!
//! Owns the format. All or nothing: one bad line refuses the whole file, so that a half-written one never
//! takes effect. Must not know what the accounts are used for, and shows a password to nobody.

use std::{collections::BTreeMap, io, path::Path, path::PathBuf};

use protocol::{
    Username,
    scram::{Verifier, VerifierError},
    username::UsernameError,
};
use thiserror::Error;

use crate::hub::{Credential, Password};

/// Why a credentials file cannot be used. Each message names the file, and the line if there is one.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// It cannot be read at all.
    #[error("cannot read the credentials file {}: {source}; name another with --credentials", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("{}, line {line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Bytes that are no text.
    #[error("this is not UTF-8 text")]
    NotText,
    /// One word.
    #[error("expected 'username password' with a space between")]
    NoPassword,
    /// The first word is no username.
    #[error("bad username: {0}")]
    Username(#[from] UsernameError),
    /// Who has two lines has two passwords.
    #[error("'{user}' has a line already, line {first}")]
    Duplicate {
        /// The user.
        user: Username,
        /// The line of the first.
        first: usize,
    },
    /// It begins like a verifier and is none.
    #[error("bad verifier: {0}")]
    Verifier(#[from] VerifierError),
}

/// Reads a file.
pub fn load(path: &Path) -> Result<BTreeMap<Username, Credential>, CredentialsError> {
    let bytes = std::fs::read(path)
        .map_err(|source| CredentialsError::Unreadable { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|(line, fault)| CredentialsError::Line { path: path.to_owned(), line, fault })
}

/// Reads a file's content; an error comes with its line, counted from 1.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<Username, Credential>, (usize, Fault)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut users: BTreeMap<Username, (usize, Credential)> = BTreeMap::new();
    for (line, number) in bytes.split(|&b| b == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let at_line = |fault| (number, fault);
        let Some((user, credential)) = parse_line(line).map_err(at_line)? else { continue };
        if let Some(&(first, _)) = users.get(&user) {
            return Err(at_line(Fault::Duplicate { user, first }));
        }
        users.insert(user, (number, credential));
    }
    Ok(users.into_iter().map(|(user, (_, credential))| (user, credential)).collect())
}

fn parse_line(line: &[u8]) -> Result<Option<(Username, Credential)>, Fault> {
    let line = str::from_utf8(line).map_err(|_| Fault::NotText)?;
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (user, password) = line.split_once(' ').ok_or(Fault::NoPassword)?;
    let user = user.parse()?;
    if password.is_empty() {
        return Err(Fault::NoPassword);
    }
    let credential = if Verifier::looks_like(password) {
        Credential::Verifier(password.parse()?)
    } else {
        Credential::Plain(Password::new(password))
    };
    Ok(Some((user, credential)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documented_format() {
        let text = "# demo\n\nada first program\r\nserver x\nΩμέγα p#w\nlast no-newline";
        let users = parse(text.as_bytes()).unwrap();
        assert_eq!(users.len(), 4);
        let Credential::Plain(password) = &users["ada"] else { panic!() };
        assert_eq!(password.expose(), "first program", "split at the first space only");
    }

    #[test]
    fn a_bad_line_is_named() {
        let fault = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(fault("ada x\nalan"), (2, Fault::NoPassword));
        assert_eq!(fault("ada "), (1, Fault::NoPassword));
        assert_eq!(fault("a/b x"), (1, Fault::Username(UsernameError::Character('/'))));
        assert_eq!(fault(" ada x"), (1, Fault::Username(UsernameError::Empty)));
        assert_eq!(
            fault("ada x\n#\nada y"),
            (3, Fault::Duplicate { user: "ada".parse().unwrap(), first: 1 })
        );
        assert!(matches!(fault("ada SCRAM-SHA-256$nonsense"), (1, Fault::Verifier(_))));
        assert_eq!(parse(b"ada x\nal\xffan y").unwrap_err(), (2, Fault::NotText));
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        assert!(!format!("{:?}", parse(b"ada sesame").unwrap()).contains("sesame"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
