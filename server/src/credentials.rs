//! The credentials file: a line per user, `username password`, split at the first space.
//!
//! Owns the format. All or nothing: one bad line refuses the whole file, so that a half-written one never
//! takes effect. Must not know what the accounts are used for, and shows a password to nobody.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
};

use protocol::{
    Username,
    scram::{Verifier, VerifierError},
    username::UsernameError,
};
use thiserror::Error;

use crate::{
    hub::{Credential, Password},
    lookalikes::{self, Deception, Skeleton, spelled_out},
};

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
    /// The name could pass for another that is not here.
    #[error("{} is no good username: {why}", spelled_out(user))]
    Deceptive {
        /// The name.
        user: Username,
        /// How it deceives.
        why: Deception,
    },
    /// Two names that people cannot tell apart.
    #[error("{} looks like {} of line {first}; change one of them", spelled_out(user), spelled_out(other))]
    LookAlike {
        /// The name.
        user: Username,
        /// The one before it.
        other: Username,
        /// The line of that one.
        first: usize,
    },
    /// It begins like a verifier and is none.
    #[error("bad verifier: {0}")]
    Verifier(#[from] VerifierError),
}

/// Reads a file, and warns in the log if too many can.
pub fn load(path: &Path) -> Result<BTreeMap<Username, Credential>, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    if let Some(danger) = file.metadata().ok().as_ref().and_then(danger) {
        log::warn!(
            "{danger} {}, and who does may log in as anybody; 'chmod o-rw' keeps them out",
            path.display()
        );
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    parse(&bytes).map_err(|(line, fault)| CredentialsError::Line { path: path.to_owned(), line, fault })
}

/// Reads a file's content; an error comes with its line, counted from 1.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<Username, Credential>, (usize, Fault)> {
    let mut users: BTreeMap<Username, (usize, Credential)> = BTreeMap::new();
    let mut looks: BTreeMap<Skeleton, Username> = BTreeMap::new();
    for (line, number) in lines(bytes).zip(1..) {
        let at_line = |fault| (number, fault);
        let Some((user, credential)) = parse_line(line).map_err(at_line)? else { continue };
        if let Some(&(first, _)) = users.get(&user) {
            return Err(at_line(Fault::Duplicate { user, first }));
        }
        if let Some(other) = looks.insert(Skeleton::of(&user), user.clone()) {
            let first = users.get(&other).map_or(0, |&(first, _)| first);
            return Err(at_line(Fault::LookAlike { user, other, first }));
        }
        users.insert(user, (number, credential));
    }
    Ok(users.into_iter().map(|(user, (_, credential))| (user, credential)).collect())
}

/// A text with one user's line replaced, or added at the end, and all else as it was.
pub fn with_line(bytes: &[u8], user: &Username, credential: &Verifier) -> Result<Vec<u8>, (usize, Fault)> {
    let line = format!("{user} {credential}");
    let mut at = bytes.len() - without_mark(bytes).len();
    for old in lines(bytes) {
        if parse_line(old).is_ok_and(|parsed| parsed.is_some_and(|(name, _)| name == *user)) {
            let (before, rest) = bytes.split_at(at);
            let edited = [before, line.as_bytes(), rest.get(old.len()..).unwrap_or_default()].concat();
            return parse(&edited).map(|_| edited);
        }
        let behind = bytes.get(at + old.len()..).unwrap_or_default();
        at += old.len() + if behind.starts_with(b"\r\n") { 2 } else { 1 };
    }
    let line_end: &[u8] = if bytes.windows(2).any(|pair| pair == b"\r\n") { b"\r\n" } else { b"\n" };
    let is_whole = without_mark(bytes).is_empty() || bytes.ends_with(b"\n");
    let edited = [bytes, if is_whole { b"" } else { line_end }, line.as_bytes(), line_end].concat();
    parse(&edited).map(|_| edited)
}

/// Who else than the owner and the group does what with the file, if anybody.
#[cfg(unix)]
fn danger(file: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::PermissionsExt;
    match file.permissions().mode() & 0o006 {
        0 => None,
        0o004 => Some("every user of this machine can read"),
        0o002 => Some("every user of this machine can change"),
        _ => Some("every user of this machine can read and change"),
    }
}

#[cfg(not(unix))]
fn danger(_: &Metadata) -> Option<&'static str> {
    None
}

/// The lines, without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    without_mark(bytes).split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Some editors put a byte order mark before everything.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn parse_line(line: &[u8]) -> Result<Option<(Username, Credential)>, Fault> {
    let line = str::from_utf8(line).map_err(|_| Fault::NotText)?;
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (user, password) = line.split_once(' ').ok_or(Fault::NoPassword)?;
    let user: Username = user.parse()?;
    if let Err(why) = lookalikes::check(&user) {
        return Err(Fault::Deceptive { user, why });
    }
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
    fn names_that_could_deceive_are_named() {
        let fault = |text: &str| parse(text.as_bytes()).unwrap_err();
        let user = |name: &str| name.parse::<Username>().unwrap();
        let (line, look_alike) = fault("ada x\n\n\u{430}\u{501}\u{430} x\n");
        let (other, first) = (user("ada"), 1);
        assert_eq!(look_alike, Fault::LookAlike { user: user("\u{430}\u{501}\u{430}"), other, first });
        let message = format!("line {line}: {look_alike}");
        assert!(message.starts_with("line 3") && message.contains("'ada' of line 1"), "{message}");
        assert!(message.contains("\\u{430}\\u{501}\\u{430}"), "{message}");
        let deceptive = |name: &str, why| (1, Fault::Deceptive { user: user(name), why });
        assert_eq!(fault("\u{430}da x"), deceptive("\u{430}da", Deception::Scripts));
        assert_eq!(fault("\u{2126} x"), deceptive("\u{2126}", Deception::Form));
        assert_eq!(parse("Ada x\nada x\nAlan y".as_bytes()).unwrap().len(), 3, "case tells apart");
    }

    fn verifier() -> Verifier {
        Verifier::derive("x", b"salt", protocol::scram::Iterations::new(4_096).unwrap())
    }

    #[track_caller]
    fn assert_edited(text: &str, user: &str, edited: &str) {
        let verifier = verifier();
        let bytes = with_line(text.as_bytes(), &user.parse().unwrap(), &verifier).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), edited.replace("NEW", &verifier.to_string()));
    }

    #[test]
    fn an_edit_keeps_everything_else() {
        assert_edited("", "ada", "ada NEW\n");
        assert_edited("ada old", "ada", "ada NEW");
        assert_edited("alan x", "ada", "alan x\nada NEW\n");
        assert_edited("#ada x\n\n  \nada old\nAda x\n", "ada", "#ada x\n\n  \nada NEW\nAda x\n");
        assert_edited("adam x\r\nada old\r\n\r\n", "ada", "adam x\r\nada NEW\r\n\r\n");
        assert_edited("adam x\r\nalan y", "ada", "adam x\r\nalan y\r\nada NEW\r\n");
        assert_edited("\u{feff}ada old\nalan x\n", "ada", "\u{feff}ada NEW\nalan x\n");
        assert_edited("\u{feff}", "ada", "\u{feff}ada NEW\n");
    }

    #[test]
    fn an_edit_refuses_a_bad_file_and_a_bad_outcome() {
        let edit = |text: &str| with_line(text.as_bytes(), &"ada".parse().unwrap(), &verifier()).unwrap_err();
        assert_eq!(edit("ada x\nalan\n"), (2, Fault::NoPassword));
        assert!(matches!(edit("\u{430}\u{501}\u{430} x\n"), (2, Fault::LookAlike { first: 1, .. })));
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

        #[test]
        fn an_edit_changes_one_line(
            lines in proptest::collection::vec("(#? ?[a-z]{1,3} [ -~]{1,5}|#.{0,5}|)\r?", 0..8),
            user in "[a-z]{1,3}",
        ) {
            let text = lines.join("\n");
            let user: Username = user.parse().unwrap();
            if let (Ok(before), Ok(edited)) =
                (parse(text.as_bytes()), with_line(text.as_bytes(), &user, &verifier()))
            {
                let after = parse(&edited).unwrap();
                prop_assert!(matches!(&after[&user], Credential::Verifier(_)));
                prop_assert!(before.keys().all(|name| after.contains_key(name)));
                let others = |text: &[u8]| {
                    let is_other = |line: &&[u8]| !line.starts_with(format!("{user} ").as_bytes());
                    let others: Vec<_> = super::lines(text).filter(is_other).map(<[u8]>::to_vec).collect();
                    others.join(&b'\n').trim_ascii_end().to_vec()
                };
                prop_assert_eq!(others(&edited), others(text.as_bytes()));
            }
        }
    }
}
