//! The command line: its table of options, its parsing, its help.

use core::{net::IpAddr, time::Duration};
use std::{ffi::OsString, path::PathBuf};

use getopts::{Matches, Options as Table};
use thiserror::Error;

/// The most that a limit can be set to: beyond it, it is none.
const LIMIT_MAX: u64 = 1_000_000_000;

/// The data directory of an operator who names none.
pub(crate) const DATA_DIR: &str = "parlour-data";

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help and leave.
    Help,
    /// Print the version and leave.
    Version,
    /// Run the server.
    Run(Box<Options>),
}

/// How to run the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// 0: the system picks one.
    pub port: u16,
    /// How long three wrong passwords lock an account; `None`: they do not.
    pub block_duration: Option<Duration>,
    /// How long a user may be idle; `None`: for ever.
    pub timeout: Option<Duration>,
    /// The addresses to listen on.
    pub bind: Vec<IpAddr>,
    /// The accounts.
    pub credentials: PathBuf,
    /// Where what must outlive the process is kept.
    pub data_dir: PathBuf,
    /// How connections are encrypted.
    pub encryption: Encryption,
    /// Commands a second that one client may send for long.
    pub rate: Option<u32>,
    /// Messages that wait for one user at most.
    pub mailbox_messages_max: Option<usize>,
    /// Connections of one address that are not logged in yet, at most.
    pub logins_per_address_max: Option<usize>,
    /// Whether and how fast bytes are carried between clients that cannot reach each other.
    pub relay: Relay,
}

/// Whether and how fast bytes are carried between clients that cannot reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// Not at all.
    Off,
    /// As fast as suits a small machine.
    Default,
    /// So many bytes a second for all together.
    Rate(u32),
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS with a key of its own, made once and kept in the data directory.
    SelfSigned,
    /// TLS with the operator's key.
    Given {
        /// PEM, the server's own certificate first.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
    /// Not at all.
    None,
}

/// A command line that makes no sense, and how to mend it.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UsageError {
    /// An unknown option, an option without its value, or one given twice.
    #[error("{0}")]
    Option(String),
    /// Too few or too many.
    #[error("expected 3 arguments (server_port, block_duration, timeout), got {0}")]
    Count(usize),
    /// Not a number, or out of range.
    #[error("{name} must be a whole number from 0 to {max}, not '{value}'")]
    Number {
        /// Which argument.
        name: &'static str,
        /// What was given.
        value: String,
        /// The largest allowed.
        max: u64,
    },
    /// A limit that would let nobody do anything.
    #[error("--{0} must be at least 1")]
    Zero(&'static str),
    /// Half of an identity, or one that would not be used.
    #[error("{0}")]
    Encryption(&'static str),
    /// A rate for what is switched off.
    #[error("--no-relay leaves --relay-rate without a use")]
    Relay,
    /// Not an address of this machine's family of addresses.
    #[error("--bind takes an IP address such as 127.0.0.1, 0.0.0.0, ::1 or [::], not '{0}'")]
    Address(String),
}

/// Parses the arguments behind the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let matches = table().parse(arguments).map_err(|fail| UsageError::Option(fail.to_string()))?;
    if matches.opt_present("help") {
        return Ok(Invocation::Help);
    }
    if matches.opt_present("version") {
        return Ok(Invocation::Version);
    }
    let [port, block_duration, timeout] = matches.free.as_slice() else {
        return Err(UsageError::Count(matches.free.len()));
    };
    let port = number("server_port", port, u64::from(u16::MAX))?;
    Ok(Invocation::Run(Box::new(Options {
        port: u16::try_from(port).unwrap_or_default(),
        block_duration: seconds("block_duration", block_duration)?,
        timeout: seconds("timeout", timeout)?,
        bind: addresses(&matches)?,
        credentials: path(&matches, "credentials", "Credentials.txt"),
        data_dir: path(&matches, "data-dir", DATA_DIR),
        encryption: encryption(&matches)?,
        rate: limit(&matches, "rate", u64::from(u32::MAX))?.and_then(|rate| u32::try_from(rate).ok()),
        mailbox_messages_max: limit(&matches, "mailbox", LIMIT_MAX)?
            .and_then(|max| usize::try_from(max).ok()),
        logins_per_address_max: limit(&matches, "logins", LIMIT_MAX)?
            .and_then(|max| usize::try_from(max).ok()),
        relay: relay(&matches)?,
    })))
}

/// One line on how to call the program.
pub fn usage() -> String {
    "Usage: parlour-server [OPTIONS] <server_port> <block_duration> <timeout>\n\
     Try 'parlour-server --help' for what they mean."
        .to_owned()
}

/// The whole help.
pub fn help() -> String {
    let brief = "Usage: parlour-server [OPTIONS] <server_port> <block_duration> <timeout>\n\n\
         Runs a Parlour chat server.\n\n\
         Arguments:\n    \
         server_port     0 to 65535; 0 lets the system pick one, and it is printed\n    \
         block_duration  seconds for which three wrong passwords in a row lock an account; 0: never\n    \
         timeout         seconds without a command after which a user is logged out; 0: never";
    let details = "Once it accepts connections it prints 'listening ADDR:PORT' on standard output, a line for\n\
         each address, and the fingerprint of its key, which clients can check. The log goes to standard error;\n\
         RUST_LOG sets its level (error, warn, info, debug).\n\
         SIGHUP reads the credentials again, SIGTERM and SIGINT stop the server cleanly. SIGUSR1 logs a line of\n\
         status: connections, users online, bytes that wait to be sent, and the longest turn of the event loop\n\
         since it was last asked for, with the most processor time of one.\n\n\
         Credentials file: a line per user, 'username password', split at the first space; blank lines and\n\
         lines that begin with # are skipped. Instead of a password it may hold what 'parlour-server passwd' makes\n\
         of one, from which it cannot be read; see 'parlour-server passwd --help'.\n\n\
         Database: waiting messages, block lists, lock-outs and times of last log-ins outlive the server, in parlour.db in\n\
         the data directory. 'parlour-server check --help' tells how to look whether it is sound.\n\n\
         Example: parlour-server --bind 0.0.0.0 8080 60 300";
    format!("{}\n{details}", table().usage(brief).trim_end_matches('\n').to_owned() + "\n")
}

fn table() -> Table {
    let mut table = Table::new();
    table.optmulti("b", "bind", "listen on this address (default 127.0.0.1; may be repeated)", "ADDR");
    table.optopt("c", "credentials", "the accounts (default Credentials.txt)", "FILE");
    table.optopt(
        "d",
        "data-dir",
        "where the database and the server's own key are kept (default parlour-data)",
        "DIR",
    );
    table.optopt("", "cert", "the server's certificate, PEM (default: one is made, and kept in DIR)", "FILE");
    table.optopt("", "key", "the private key of --cert, PEM", "FILE");
    table.optflag("", "no-tls", "do not encrypt connections");
    table.optopt("", "rate", "commands a second from one client; a faster one is slowed (default 1000)", "N");
    table.optopt("", "mailbox", "messages that wait for one user at most (default 1000)", "N");
    table.optopt(
        "",
        "logins",
        "connections of one address that are not logged in yet, at most (default 8)",
        "N",
    );
    table.optflag("", "no-relay", "do not carry bytes between clients that cannot reach each other");
    table.optopt(
        "",
        "relay-rate",
        "bytes a second that are carried between clients, all together (default 8388608)",
        "N",
    );
    table.optflag("h", "help", "print this help");
    table.optflag("V", "version", "print the version");
    table
}

fn encryption(matches: &Matches) -> Result<Encryption, UsageError> {
    let files = (matches.opt_str("cert"), matches.opt_str("key"));
    match (files, matches.opt_present("no-tls")) {
        ((None, None), true) => Ok(Encryption::None),
        ((None, None), false) => Ok(Encryption::SelfSigned),
        (_, true) => Err(UsageError::Encryption("--no-tls leaves --cert and --key without a use")),
        ((Some(certificate), Some(key)), false) => {
            Ok(Encryption::Given { certificate: certificate.into(), key: key.into() })
        }
        _ => Err(UsageError::Encryption("--cert and --key go together")),
    }
}

fn relay(matches: &Matches) -> Result<Relay, UsageError> {
    match (limit(matches, "relay-rate", LIMIT_MAX)?, matches.opt_present("no-relay")) {
        (None, true) => Ok(Relay::Off),
        (None, false) => Ok(Relay::Default),
        (Some(rate), false) => Ok(Relay::Rate(u32::try_from(rate).unwrap_or(u32::MAX))),
        (Some(_), true) => Err(UsageError::Relay),
    }
}

fn number(name: &'static str, value: &str, max: u64) -> Result<u64, UsageError> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { value.parse().ok().filter(|&number| number <= max) } else { None };
    number.ok_or_else(|| UsageError::Number { name, value: value.to_owned(), max })
}

/// A limit that was given; 0 would let nobody do anything.
fn limit(matches: &Matches, name: &'static str, max: u64) -> Result<Option<u64>, UsageError> {
    let Some(value) = matches.opt_str(name) else { return Ok(None) };
    match number(name, &value, max)? {
        0 => Err(UsageError::Zero(name)),
        limit => Ok(Some(limit)),
    }
}

fn seconds(name: &'static str, value: &str) -> Result<Option<Duration>, UsageError> {
    let seconds = number(name, value, u64::from(u32::MAX))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

fn addresses(matches: &Matches) -> Result<Vec<IpAddr>, UsageError> {
    let given = matches.opt_strs("bind");
    if given.is_empty() {
        return Ok(vec![IpAddr::from([127, 0, 0, 1])]);
    }
    given.into_iter().map(|text| address(&text).ok_or(UsageError::Address(text))).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<core::net::Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn path(matches: &Matches, name: &str, default: &str) -> PathBuf {
    matches.opt_str(name).unwrap_or_else(|| default.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Options, UsageError> {
        match parse(arguments.iter().map(OsString::from))? {
            Invocation::Run(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_seed_call_works() {
        let options = run(&["8080", "60", "300"]).unwrap();
        assert_eq!(options.port, 8080);
        assert_eq!(options.block_duration, Some(Duration::from_secs(60)));
        assert_eq!(options.timeout, Some(Duration::from_secs(300)));
        assert_eq!(options.bind, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(run(&["0", "0", "0"]).unwrap().timeout, None);
    }

    #[test]
    fn addresses_of_both_families() {
        let options = run(&["-b", "[::]", "--bind", "0.0.0.0", "-b", "::1", "1", "2", "3"]).unwrap();
        assert_eq!(
            options.bind.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["::", "0.0.0.0", "::1"]
        );
    }

    #[test]
    fn nonsense_is_named() {
        let message = |arguments: &[&str]| run(arguments).unwrap_err().to_string();
        assert!(message(&[]).contains("got 0"));
        assert!(message(&["1", "2", "3", "4"]).contains("got 4"));
        assert!(
            message(&["70000", "1", "1"]).contains("server_port")
                && message(&["70000", "1", "1"]).contains("65535")
        );
        assert!(message(&["+1", "1", "1"]).contains("'+1'"));
        assert!(message(&["1", "x", "1"]).contains("block_duration"));
        assert!(message(&["1", "1", "1.5"]).contains("timeout"));
        assert!(message(&["-b", "here", "1", "1", "1"]).contains("'here'"));
        assert!(message(&["--nope"]).contains("nope"));
        assert!(message(&["--rate", "0", "1", "1", "1"]).contains("at least 1"));
        assert!(message(&["--mailbox", "x", "1", "1", "1"]).contains("mailbox"));
        assert!(message(&["--relay-rate", "0", "1", "1", "1"]).contains("at least 1"));
        assert!(message(&["--relay-rate", "9", "--no-relay", "1", "1", "1"]).contains("without a use"));
    }

    #[test]
    fn relays_are_there_unless_they_are_switched_off() {
        let relay = |arguments: &[&str]| run(&[arguments, &["1", "2", "3"]].concat()).unwrap().relay;
        assert_eq!(relay(&[]), Relay::Default);
        assert_eq!(relay(&["--no-relay"]), Relay::Off);
        assert_eq!(relay(&["--relay-rate", "100000"]), Relay::Rate(100_000));
    }
}
