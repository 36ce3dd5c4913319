//! The shell: sockets, clock, files, signals, threads. It decides nothing; the hub does.

mod clock;
mod connections;
mod deriver;
mod fault;
mod identity;
mod listeners;
mod log_writer;
mod reactor;
mod signals;
mod store;
mod wake;

use std::io::{self, Write};

use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::{
    credentials::{self, CredentialsError},
    hub::{Credential, Hub, Limits},
    options::{Encryption, Options, Relay},
    store::{Store, StoreError},
};
use clock::Clock;
use identity::IdentityFileError;
use listeners::{BindError, Listeners};
pub use log_writer::LogWriter;
use reactor::Reactor;

/// Why the server could not start or go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The accounts.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The server's own key.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refused something without which there is no server.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// As the manual promises: 2 for an unusable configuration, 1 for a failure at run time.
    pub fn exit_code(&self) -> u8 {
        match self {
            // A supervisor may try again.
            Self::Store(error) if error.is_passing() => 1,
            Self::Credentials(_) | Self::Identity(_) | Self::Store(_) => 2,
            Self::Bind(_) | Self::System { .. } => 1,
        }
    }

    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

/// Sends the log to `out`, and has a panic in any thread end the process with words in the log. To be called once.
pub fn start_log(out: impl Write + Send + 'static) -> io::Result<LogWriter> {
    let log = LogWriter::start(out)?;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .target(env_logger::Target::Pipe(Box::new(log.clone())))
        .init();
    fault::end_process_on_panic(log.clone());
    Ok(log)
}

/// Runs the server until a signal stops it.
pub fn run(options: &Options) -> Result<(), RunError> {
    let credentials = credentials::load(&options.credentials)?;
    warn_about(options, credentials.values());
    let (tls, fingerprint) = identity::load(options)?.unzip();
    raise_descriptor_limit();
    let (seed, fresh_secret) = (random()?, random()?);
    let clock = Clock::start();
    let (store, recovered) = Store::open(&options.data_dir, &fresh_secret, clock.read().wall)?;
    let limits = limits(options);
    let listeners = Listeners::bind(&options.bind, options.port)?;
    let addresses = listeners.addresses().map_err(RunError::system("cannot tell the port"))?;
    let hub = Hub::recover(limits, credentials, recovered, seed, clock.read());
    let mut reactor = Reactor::new(listeners, tls, clock, hub, store, options.credentials.clone())
        .map_err(RunError::system("cannot set up the event loop"))?;
    let mut stdout = io::stdout().lock();
    for address in addresses {
        // Whoever started the server may not care to read this.
        let _ = writeln!(stdout, "listening {address}");
    }
    if let Some(fingerprint) = fingerprint {
        let _ = writeln!(stdout, "fingerprint {fingerprint}");
    }
    let _ = stdout.flush();
    drop(stdout);
    reactor.run().map_err(RunError::system("the event loop failed"))
}

fn random() -> Result<[u8; 32], RunError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RunError::System {
        doing: "cannot get random bytes from the system",
        source: io::ErrorKind::Other.into(),
    })?;
    Ok(bytes)
}

/// The defaults, but for what the operator has chosen.
fn limits(options: &Options) -> Limits {
    let defaults = Limits::default();
    let (relays_max, relays_rate) = match options.relay {
        Relay::Off => (0, defaults.relays_rate),
        Relay::Default => (defaults.relays_max, defaults.relays_rate),
        Relay::Rate(rate) => (defaults.relays_max, u64::from(rate)),
    };
    Limits {
        lock_out: options.block_duration,
        inactivity: options.timeout,
        commands_per_second: options.rate.unwrap_or(defaults.commands_per_second),
        mailbox_messages_max: options.mailbox_messages_max.unwrap_or(defaults.mailbox_messages_max),
        logging_in_per_address_max: options
            .logins_per_address_max
            .unwrap_or(defaults.logging_in_per_address_max),
        relays_max,
        relays_rate,
        ..defaults
    }
}

fn warn_about<'a>(options: &Options, credentials: impl Iterator<Item = &'a Credential>) {
    let (mut users, mut plain) = (0, 0);
    for credential in credentials {
        users += 1;
        plain += usize::from(matches!(credential, Credential::Plain(_)));
    }
    let path = options.credentials.display();
    log::info!("{users} accounts in {path}");
    if users == 0 {
        log::warn!("nobody can log in: {path} holds no accounts");
    }
    if plain > 0 {
        log::warn!("{plain} of {users} passwords in {path} are stored as they are typed");
    }
    if (1..=8000).contains(&options.port) {
        log::warn!("port {} is below 8001, where other services may expect to live", options.port);
    }
    if options.encryption == Encryption::None && options.bind.iter().any(|address| !address.is_loopback()) {
        log::warn!("connections are not encrypted: texts can be read and changed on their way");
    }
}

/// Each connection takes a descriptor, and the usual soft limit of 1,024 is soon reached.
fn raise_descriptor_limit() {
    #[cfg(unix)]
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => log::debug!("up to {limit} descriptors"),
        Err(error) => log::warn!("cannot raise the limit of open descriptors: {error}"),
    }
}
