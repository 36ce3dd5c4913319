//! Where the client meets the operating system: standard input, socket, screen, signals, clock. It decides
//! nothing; the core does.

mod connection;
mod disk;
mod identity;
mod known_hosts;
mod known_peers;
mod output;
mod peers;
mod run_loop;
pub mod screen;
mod seen_file;
mod signals;
pub mod stdin;

use std::{
    fs, io,
    io::{BufRead, BufReader, IsTerminal},
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use protocol::transport::{client_config, server_name};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::{
    core::{Event, Rates, Setup, Trust},
    options::{self, Options},
};
use connection::Route;
use identity::IdentityFileError;
use known_hosts::{KnownHosts, KnownHostsError};
use known_peers::KnownPeersFile;
use output::Output;
use peers::Peers;
use run_loop::{PEERS, RunLoop, Surroundings};
use seen_file::SeenFiles;
use stdin::Mode;

/// Twice as many freed bytes stay with the program, for the blocks of files that come next.
const KEPT_LEN: usize = 8 * 1024 * 1024;

/// Why the client could not start or go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The password file.
    #[error("cannot read the password from {}: {source}; its first line must hold it", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Where others should reach this client.
    #[error("cannot listen on {address}: {source}; choose another address or port for --listen")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The directory for files.
    #[error("{} is no directory; --dir takes the one for 'register' and 'download'", path.display())]
    Dir {
        /// What was asked for.
        path: PathBuf,
    },
    /// The servers' keys.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
    /// This client's own key.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The server's name.
    #[error("cannot find the host '{host}': {source}; check the spelling, or give an IP address")]
    Host {
        /// What was asked for.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something without which there is no client.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// As the manual promises: 2 for an unusable local file, 1 for no connection.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::PasswordFile { .. }
            | Self::Listen { .. }
            | Self::Dir { .. }
            | Self::KnownHosts(_)
            | Self::Identity(_) => 2,
            Self::Host { .. } | Self::System { .. } => 1,
        }
    }

    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

/// Runs the client until the session is over; the exit code.
pub fn run(options: &Options) -> Result<u8, RunError> {
    keep_freed_memory();
    let server = server_label(&options.host, options.port);
    let known_hosts = KnownHosts::for_server(server.clone())?;
    let known_peers = KnownPeersFile::for_server(server.clone())?;
    let seen_files = SeenFiles::for_server(server.clone())?;
    let password = password(options)?;
    let addresses = resolve(&options.host, options.port)?;
    let at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && options.face.is_none();
    let known = if options.tls { known_hosts.fingerprint()? } else { None };
    let (identity, warning) = identity::load()?;
    let key = identity.fingerprint();
    let trust = Trust {
        server,
        known,
        is_written: known.is_some(),
        known_hosts: known_hosts.path().display().to_string(),
        expected: options.fingerprint,
        is_loopback: addresses.iter().all(|address| address.ip().to_canonical().is_loopback()),
        accept_new: options.accept_new,
        can_ask: at_terminal,
    };
    let rates = Rates { upload: options.upload_limit, download: options.download_limit };
    let setup =
        Setup { user: options.user.clone(), password, trust, key, known_peers: known_peers.read()?, rates };
    let tls_failed = |error| RunError::System { doing: "cannot set up TLS", source: io::Error::other(error) };
    let peers = Peers::new(&identity, PEERS).map_err(tls_failed)?;
    let tls = if options.tls {
        let config = client_config().map_err(tls_failed)?;
        Some((config, server_name(&options.host)))
    } else {
        None
    };
    let route = Route { addresses, tls };
    let bind =
        |address| mio::net::TcpListener::bind(address).map_err(|source| RunError::Listen { address, source });
    let listener = options.listen.map(bind).transpose()?;
    if !options.dir.is_dir() {
        return Err(RunError::Dir { path: options.dir.clone() });
    }
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| RunError::System {
        doing: "cannot get random bytes from the system",
        source: io::ErrorKind::Other.into(),
    })?;
    let (mut output, mode) = match options.face {
        Some(options::Face::Json) => (Output::Json, Mode::Lines),
        None if at_terminal => {
            (Output::terminal().map_err(RunError::system("cannot set up the terminal"))?, Mode::Keys)
        }
        Some(options::Face::Plain) | None => (Output::Plain, Mode::Lines),
    };
    if let Some(text) = warning {
        output.show(&Event::Notice { text }).map_err(RunError::system("cannot write to standard output"))?;
    }
    let surroundings = Surroundings {
        route,
        known_hosts,
        peers,
        known_peers,
        seen_files,
        listener,
        dir: options.dir.clone(),
    };
    RunLoop::new(setup, surroundings, seed, output, mode)
        .and_then(|mut run_loop| run_loop.run())
        .map_err(RunError::system("the event loop failed"))
}

/// The C library of Linux keeps as much as twice the largest block that was ever given back, which is little at
/// first; then the pages of each block of a file would come from the system anew, and that takes more time than
/// encrypting it.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_LEN)));
}

/// How a server is called in `known_hosts` and in front of people.
fn server_label(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn password(options: &Options) -> Result<Option<String>, RunError> {
    match &options.password_file {
        Some(path) => {
            first_line(path).map(Some).map_err(|source| RunError::PasswordFile { path: path.clone(), source })
        }
        None => Ok(std::env::var("PARLOUR_PASSWORD").ok()),
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(fs::File::open(path)?).read_line(&mut line)?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is empty"));
    }
    Ok(line.to_owned())
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, RunError> {
    let unknown = |source| RunError::Host { host: host.to_owned(), source };
    let addresses: Vec<_> = (host, port).to_socket_addrs().map_err(unknown)?.collect();
    if addresses.is_empty() {
        return Err(unknown(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(addresses)
}
