//! The command line: its table of options, its parsing, its help.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use getopts::Options as Table;
use protocol::{Fingerprint, fingerprint::FingerprintError};
use thiserror::Error;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help and leave.
    Help,
    /// Print the version and leave.
    Version,
    /// Run the client.
    Run(Options),
}

/// How to run the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A name or an address.
    pub host: String,
    /// Not 0.
    pub port: u16,
    /// Which face was asked for, if any.
    pub face: Option<Face>,
    /// Who logs in.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The key that the server must show.
    pub fingerprint: Option<Fingerprint>,
    /// Trust an unknown server.
    pub accept_new: bool,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The directory of shared and fetched files.
    pub dir: PathBuf,
    /// Where other clients reach this one; `None`: wherever the server is reached from.
    pub listen: Option<SocketAddr>,
    /// The most bytes a second that are passed on.
    pub upload_limit: Option<u64>,
    /// The most bytes a second that are fetched.
    pub download_limit: Option<u64>,
}

/// A face that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// An object a line.
    Json,
    /// A sentence a line.
    Plain,
}

/// A command line that makes no sense, and how to mend it.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UsageError {
    /// An unknown option, an option without its value, or one given twice.
    #[error("{0}")]
    Option(String),
    /// Too few or too many.
    #[error("expected 2 arguments (server_ip, server_port), got {0}")]
    Count(usize),
    /// Not a port.
    #[error("server_port must be a whole number from 1 to 65535, not '{0}'")]
    Port(String),
    /// Not a fingerprint.
    #[error("--fingerprint takes what the server prints at its start: {0}")]
    Fingerprint(#[from] FingerprintError),
    /// Not an address.
    #[error("--listen takes an address, and a port behind it if you like, as 192.168.1.5:9000; not '{0}'")]
    Listen(String),
    /// Not a rate.
    #[error("--{0} takes bytes per second, with K, M or G behind them if you like, as 500K; not '{1}'")]
    Rate(&'static str, String),
    /// Nothing to check.
    #[error("--no-tls leaves --fingerprint and --accept-new without a use")]
    NothingToCheck,
    /// Both faces.
    #[error("--json and --plain exclude each other")]
    TwoFaces,
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
    let [host, port] = matches.free.as_slice() else {
        return Err(UsageError::Count(matches.free.len()));
    };
    let face = match (matches.opt_present("json"), matches.opt_present("plain")) {
        (true, true) => return Err(UsageError::TwoFaces),
        (true, false) => Some(Face::Json),
        (false, true) => Some(Face::Plain),
        (false, false) => None,
    };
    let fingerprint = matches.opt_str("fingerprint").map(|text| text.parse()).transpose()?;
    let accept_new = matches.opt_present("accept-new");
    let tls = !matches.opt_present("no-tls");
    if !tls && (accept_new || fingerprint.is_some()) {
        return Err(UsageError::NothingToCheck);
    }
    let listen = matches.opt_str("listen").map(|text| parse_listen(&text).ok_or(UsageError::Listen(text)));
    let rate = |name| {
        matches.opt_str(name).map(|text| parse_rate(&text).ok_or(UsageError::Rate(name, text))).transpose()
    };
    Ok(Invocation::Run(Options {
        dir: matches.opt_str("dir").map_or_else(|| PathBuf::from("."), PathBuf::from),
        listen: listen.transpose()?,
        upload_limit: rate("upload-limit")?,
        download_limit: rate("download-limit")?,
        fingerprint,
        accept_new,
        tls,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: parse_port(port).ok_or_else(|| UsageError::Port(port.clone()))?,
        face,
        user: matches.opt_str("user"),
        password_file: matches.opt_str("password-file").map(PathBuf::from),
    }))
}

/// One line on how to call the program.
pub fn usage() -> String {
    "Usage: parlour [OPTIONS] <server_ip> <server_port>\nTry 'parlour --help' for what they mean.".to_owned()
}

/// The whole help.
pub fn help() -> String {
    let brief = "Usage: parlour [OPTIONS] <server_ip> <server_port>\n\n\
         Talks through a Parlour server. What is not given by an option is asked for.\n\n\
         Arguments:\n    \
         server_ip       the server's address or name\n    \
         server_port     the port it listens on";
    let details = "The environment variable PARLOUR_PASSWORD can hold the password.\n\n\
         Without --json and --plain, a terminal gets a line editor, anything else the plain face.\n\
         At the prompt, 'help' lists the commands.\n\n\
         The keys of servers are kept in the file known_hosts in the configuration directory, which\n\
         PARLOUR_CONFIG_DIR can name. A server on this machine is trusted at first sight; any other one is\n\
         trusted when you say so. A key that has changed is always refused. The keys of other users are kept\n\
         beside it in known_peers; 'startprivate' refuses one that has changed until 'trust' accepts it. What was\n\
         shown to you is noted in seen, so that it is not shown again when this program was killed.\n\n\
         What 'register' and 'download' remember lies in .parlour in the directory of --dir, for each user apart.\n\
         Limits take K, M or G behind the number, powers of 1024.\n\n\
         When the connection is lost, it is made again by itself for ten minutes.\n\n\
         Exit codes: 0 logged out, 1 connection failed or lost for good, 2 wrong usage, 3 login refused,\n\
         4 logged out for inactivity, 5 the server could not prove who it is.\n\n\
         Example: parlour --user ada 127.0.0.1 8080";
    format!("{}\n\n{details}", table().usage(brief).trim_end_matches('\n'))
}

fn table() -> Table {
    let mut table = Table::new();
    table.optflag("", "json", "write a JSON object a line for each event, and nothing else");
    table.optflag("", "plain", "write a line of words for each event; no prompt, no colour");
    table.optopt("", "user", "log in as this user", "NAME");
    table.optopt("", "password-file", "take the password from the first line of this file", "FILE");
    table.optopt("", "dir", "the directory for 'register' and 'download'; default: the current one", "DIR");
    table.optopt("", "listen", "where other clients reach this one; default: any free port", "ADDR[:PORT]");
    table.optopt("", "upload-limit", "pass on no more than so many bytes a second", "BYTES[K|M|G]");
    table.optopt("", "download-limit", "fetch no more than so many bytes a second", "BYTES[K|M|G]");
    table.optopt("", "fingerprint", "the server must show this key", "SHA256:...");
    table.optflag("", "accept-new", "trust a server that is not known yet, without asking");
    table.optflag("", "no-tls", "do not encrypt the connection");
    table.optflag("h", "help", "print this help");
    table.optflag("V", "version", "print the version");
    table
}

fn parse_listen(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 0)))
}

/// More than 0; K, M and G are powers of 1024.
fn parse_rate(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (text.get(..at)?, 1 << 10),
        (at, 'M' | 'm') => (text.get(..at)?, 1 << 20),
        (at, 'G' | 'g') => (text.get(..at)?, 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(unit).filter(|&rate| rate > 0)
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Options, UsageError> {
        match parse(arguments.iter().map(OsString::from))? {
            Invocation::Run(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_seed_call_works() {
        let options = run(&["127.0.0.1", "8080"]).unwrap();
        assert_eq!((options.host.as_str(), options.port, options.face), ("127.0.0.1", 8080, None));
        assert_eq!(run(&["[::1]", "1", "--json"]).unwrap().host, "::1");
    }

    #[test]
    fn places_and_rates_are_understood() {
        let options = run(&["--listen", "::1", "--download-limit", "500K", "--dir", "x", "h", "1"]).unwrap();
        assert_eq!(options.listen, Some("[::1]:0".parse().unwrap()));
        assert_eq!((options.download_limit, options.upload_limit), (Some(512_000), None));
        assert_eq!(options.dir, PathBuf::from("x"));
        let options = run(&["--listen", "127.0.0.1:9000", "h", "1"]).unwrap();
        assert_eq!(options.listen, Some("127.0.0.1:9000".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_named() {
        let message = |arguments: &[&str]| run(arguments).unwrap_err().to_string();
        assert!(message(&["host"]).contains("got 1"));
        assert!(message(&["--listen", "host", "h", "1"]).contains("'host'"));
        for rate in ["", "0", "x", "-1", "1.5M", "K", "99999999999999999999", "18446744073709551615G"] {
            assert!(message(&["--upload-limit", rate, "h", "1"]).contains("--upload-limit"), "{rate}");
        }
        for port in ["0", "65536", "x", "+1", ""] {
            assert!(message(&["host", port]).contains(&format!("'{port}'")));
        }
        assert!(message(&["--json", "--plain", "h", "1"]).contains("exclude"));
        assert!(message(&["--nope", "h", "1"]).contains("nope"));
    }
}
