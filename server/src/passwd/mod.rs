//! `parlour-server passwd`: turns a password into a line of the credentials file that does not contain it.
//!
//! Owns the sub-command's arguments, its errors and its order of steps. Must not know a running server.

mod entry;
mod replacement;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use getopts::Options as Table;
use protocol::{
    Username,
    scram::{ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, Iterations, Verifier},
};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::{
    credentials::{self, CredentialsError, Fault},
    hub::Password,
};
use entry::EntryError;
use replacement::{Replacement, ReplacementError};

/// The word that selects this sub-command; no port is called so.
pub const NAME: &str = "passwd";

/// Bytes of a new salt: as many as RFC 7677's own example has, so that none comes twice.
const SALT_LEN: usize = 16;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help and leave.
    Help,
    /// Make a line.
    Run(Options),
}

/// Whose line to make, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose.
    pub user: Username,
    /// The file to change; `None`: the line is shown.
    pub update: Option<PathBuf>,
    /// Rounds of the derivation.
    pub iterations: Iterations,
}

/// Why there is no new line. Nothing was changed.
#[derive(Debug, Error)]
pub enum PasswdError {
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// The name does not go into a credentials file.
    #[error(transparent)]
    Name(Fault),
    /// No usable password came.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The file has a fault, or would have one.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The file cannot be replaced.
    #[error(transparent)]
    Replacement(#[from] ReplacementError),
    /// The system gives no salt.
    #[error("cannot get random bytes from the system")]
    Random,
}

impl PasswdError {
    /// 2 for what another call would mend, 1 for what the system refused.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Entry(EntryError::System(_)) | Self::Replacement(_) | Self::Random => 1,
            Self::Usage(_) | Self::Name(_) | Self::Entry(_) | Self::Credentials(_) => 2,
        }
    }
}

/// Parses the arguments behind the sub-command's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, PasswdError> {
    let matches = table().parse(arguments).map_err(|fail| PasswdError::Usage(fail.to_string()))?;
    if matches.opt_present("help") {
        return Ok(Invocation::Help);
    }
    let [name] = matches.free.as_slice() else {
        let count = matches.free.len();
        return Err(PasswdError::Usage(match count {
            0 => "whose password? Name one user".to_owned(),
            // What stands behind the name may be the password: it is not repeated.
            _ => format!(
                "expected one argument, the username, got {count}; the password is asked for, or read from standard input"
            ),
        }));
    };
    let user: Username = name.parse().map_err(|error| PasswdError::Name(Fault::Username(error)))?;
    let iterations = match matches.opt_str("iterations") {
        None => Iterations::DEFAULT,
        Some(text) => rounds(&text).ok_or_else(|| {
            PasswdError::Usage(format!(
                "--iterations must be a whole number from {ITERATIONS_MIN} to {ITERATIONS_MAX}, not '{text}'"
            ))
        })?,
    };
    Ok(Invocation::Run(Options { user, update: matches.opt_str("update").map(Into::into), iterations }))
}

/// One line on how to call it.
pub fn usage() -> String {
    "Usage: parlour-server passwd [OPTIONS] <user>\n\
     Try 'parlour-server passwd --help' for what it does."
        .to_owned()
}

/// The whole help.
pub fn help() -> String {
    let brief = "Usage: parlour-server passwd [OPTIONS] <user>\n\n\
         Makes a line for the credentials file in which the password cannot be read: 'user SCRAM-SHA-256$...',\n\
         as PostgreSQL stores it. At a terminal the password is asked for twice and not shown; otherwise it is\n\
         the first line of standard input. It is never an argument, where others could see it.";
    let details = "With --update the file is replaced in one step: all other lines stay as they are, and so do its mode and\n\
         owner; a symbolic link stays one. A file that is not there is made, for its owner alone. A running\n\
         server reads its file again at SIGHUP.\n\n\
         Exit codes: 0 done; 1 the system refused (file, terminal); 2 wrong usage, unusable password, or a\n\
         credentials file that makes no sense (the message names the line). Nothing is changed unless it is 0.\n\n\
         Examples: parlour-server passwd ada --update Credentials.txt\n          \
         parlour-server passwd ada < password-file >> Credentials.txt";
    format!("{}\n{details}", table().usage(brief).trim_end_matches('\n').to_owned() + "\n")
}

/// Asks for the password, and makes the line. Returns what to print.
pub fn run(options: &Options) -> Result<String, PasswdError> {
    // All that can be wrong with the name or the file is told before anybody types a password.
    let Options { user, update, iterations } = options;
    credentials::parse(format!("{user} x").as_bytes()).map_err(|(_, fault)| PasswdError::Name(fault))?;
    if let Some(path) = update {
        check(path)?;
    }
    let verifier = derive(&entry::read(user)?, *iterations)?;
    let Some(path) = update else { return Ok(format!("{user} {verifier}")) };
    let (replacement, before) = Replacement::begin(path)?;
    let after = credentials::with_line(&before, user, &verifier)
        .map_err(|(line, fault)| CredentialsError::Line { path: path.clone(), line, fault })?;
    replacement.finish(&after)?;
    Ok(format!("{}: the password of '{user}' is set; a running server reads it at SIGHUP", path.display()))
}

fn check(path: &Path) -> Result<(), PasswdError> {
    replacement::target(path)?;
    match credentials::load(path) {
        Err(CredentialsError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

fn derive(password: &Password, iterations: Iterations) -> Result<Verifier, PasswdError> {
    let mut salt = [0; SALT_LEN];
    SystemRandom::new().fill(&mut salt).map_err(|_| PasswdError::Random)?;
    Ok(Verifier::derive(password.expose(), &salt, iterations))
}

fn rounds(text: &str) -> Option<Iterations> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    Iterations::new(text.parse().ok().filter(|_| digits)?)
}

fn table() -> Table {
    let mut table = Table::new();
    table.optopt("u", "update", "put the line into this credentials file instead of printing it", "FILE");
    let rounds = format!(
        "rounds of key derivation (default {ITERATIONS_DEFAULT}): more make guessing slower, and log-ins too"
    );
    table.optopt("i", "iterations", &rounds, "N");
    table.optflag("h", "help", "print this help");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Options, String> {
        match parse(arguments.iter().map(OsString::from)).map_err(|error| error.to_string())? {
            Invocation::Run(options) => Ok(options),
            Invocation::Help => panic!("help"),
        }
    }

    #[test]
    fn the_documented_calls_work() {
        let (user, iterations) = ("ada".parse().unwrap(), Iterations::DEFAULT);
        assert_eq!(run(&["ada"]), Ok(Options { user, update: None, iterations }));
        let options = run(&["ada", "--update", "Credentials.txt", "--iterations", "4096"]).unwrap();
        assert_eq!(options.update, Some("Credentials.txt".into()));
        assert_eq!(options.iterations.get(), 4_096);
        assert_eq!(run(&["--", "-dash"]).unwrap().user.as_str(), "-dash");
        assert!(matches!(parse(["-h"].map(OsString::from).into_iter()), Ok(Invocation::Help)));
    }

    #[test]
    fn nonsense_is_named_but_no_password() {
        assert!(run(&[]).unwrap_err().contains("user"));
        let surplus = run(&["ada", "sesame"]).unwrap_err();
        assert!(surplus.contains("got 2") && !surplus.contains("sesame"), "{surplus}");
        assert!(run(&["a/b"]).unwrap_err().contains("username"));
        for rounds in ["4095", "+5000", "1e6", "", "10000001", "99999999999"] {
            assert!(run(&["ada", "-i", rounds]).unwrap_err().contains("from 4096 to 10000000"));
        }
        assert!(run(&["ada", "--password", "sesame"]).unwrap_err().contains("password"));
    }
}
