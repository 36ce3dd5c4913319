//! A running server with a directory of its own.
//!
//! Owns its credentials file and its addresses; must not know what clients do there.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tempfile::TempDir;

use super::PATIENCE;
use super::program::{Program, server_command};
use super::transcript::Transcript;

/// The accounts of a server whose test names no others.
pub(crate) const PEOPLE: &[(&str, &str)] =
    &[("ada", "first-program"), ("bob", "two words"), ("carol", "#notes"), ("dave", "пароль")];

/// What a test may choose about its server.
pub(crate) struct ServerSetup<'a> {
    /// The second argument, in seconds.
    pub(crate) block_duration: u32,
    /// The third argument, in seconds.
    pub(crate) timeout: u32,
    /// Usernames and passwords.
    pub(crate) credentials: &'a [(&'a str, &'a str)],
    /// Addresses for `--bind`; none for the default one.
    pub(crate) binds: &'a [&'a str],
    /// Whether connections are encrypted.
    pub(crate) tls: bool,
    /// 0 lets the system pick one.
    pub(crate) port: u16,
    /// For `--data-dir`; none for one of its own.
    pub(crate) data_dir: Option<&'a Path>,
    /// Further options.
    pub(crate) args: &'a [&'a str],
}

/// A server that accepts connections and is killed when dropped.
pub(crate) struct Server {
    program: Program,
    addresses: Vec<SocketAddr>,
    credentials: Vec<(String, String)>,
    tls: bool,
    clients: AtomicUsize,
    // Last, so that it goes after the program that works in it.
    directory: TempDir,
}

impl Default for ServerSetup<'_> {
    fn default() -> Self {
        Self {
            block_duration: 60,
            timeout: 300,
            credentials: PEOPLE,
            binds: &[],
            tls: true,
            port: 0,
            data_dir: None,
            args: &[],
        }
    }
}

impl Server {
    /// Starts a server on a free port and waits until it accepts connections.
    #[track_caller]
    pub(crate) fn start(setup: &ServerSetup) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        write_credentials(&credentials_path(directory.path()), setup.credentials);
        let mut command = server_command(directory.path());
        if !setup.tls {
            command.arg("--no-tls");
        }
        command.arg("--credentials").arg(credentials_path(directory.path()));
        let own_data_dir = directory.path().join("data");
        command.arg("--data-dir").arg(setup.data_dir.unwrap_or(&own_data_dir)).args(setup.args);
        for bind in setup.binds {
            command.args(["--bind", bind]);
        }
        let numbers = [u32::from(setup.port), setup.block_duration, setup.timeout];
        command.args(numbers.map(|number| number.to_string()));
        let program = Program::spawn(&mut command, Stdio::null());
        let addresses = await_addresses(&program, setup.binds.len().max(1));
        let owned = |&(user, password): &(&str, &str)| (user.to_owned(), password.to_owned());
        let credentials = setup.credentials.iter().map(owned).collect();
        Self { program, addresses, credentials, tls: setup.tls, clients: AtomicUsize::new(0), directory }
    }

    /// A server with the accounts of `PEOPLE`, long lock-outs and no hurry.
    #[track_caller]
    pub(crate) fn usual() -> Self {
        Self::start(&ServerSetup::default())
    }

    /// The same without TLS.
    #[track_caller]
    pub(crate) fn plain() -> Self {
        Self::start(&ServerSetup { tls: false, ..ServerSetup::default() })
    }

    /// The option that a client of this server needs.
    pub(crate) fn client_args(&self) -> &'static [&'static str] {
        if self.tls { &[] } else { &["--no-tls"] }
    }

    /// The first address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Every address it listens on, in the order announced.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The fingerprint it printed, after its addresses.
    #[track_caller]
    pub(crate) fn fingerprint(&self) -> String {
        let line = self.program.out.line(self.addresses.len(), Instant::now() + PATIENCE);
        let fingerprint = line.as_deref().and_then(|line| line.trim_end().strip_prefix("fingerprint "));
        fingerprint
            .unwrap_or_else(|| panic!("awaited of process {}: its fingerprint, not {line:?}", self.id()))
            .to_owned()
    }

    /// The password of one of its accounts, as set up.
    pub(crate) fn password_of(&self, user: &str) -> &str {
        let account = self.credentials.iter().find(|(name, _)| name == user);
        &account.unwrap_or_else(|| panic!("the test's server has no account {user}")).1
    }

    /// A fresh directory for one client.
    pub(crate) fn client_directory(&self) -> PathBuf {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.path().join(format!("client-{number}"));
        fs::create_dir(&directory).expect("a client's directory");
        directory
    }

    /// All of standard output so far.
    pub(crate) fn output(&self) -> String {
        self.program.out.lines().concat()
    }

    /// The log so far and to come.
    pub(crate) fn log(&self) -> Transcript {
        self.program.err.clone()
    }

    /// Where its credentials file lies.
    pub(crate) fn credentials_path(&self) -> PathBuf {
        credentials_path(self.directory.path())
    }

    /// Asks it to read its credentials file anew.
    pub(crate) fn hangup(&self) {
        self.program.signal("HUP");
    }

    /// Asks it to stop, with `TERM` or `INT`.
    pub(crate) fn terminate_with(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Ends it without a chance to say anything.
    pub(crate) fn kill(&self) {
        self.program.signal("KILL");
    }

    /// Sends it any signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Waits for its end, and returns its exit code.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> i32 {
        self.program.wait_exit()
    }

    /// Waits for a line of the log, from line `index` on, that mentions `what`.
    #[track_caller]
    pub(crate) fn expect_log(&self, index: usize, what: &str) {
        let line = self.program.err.find(index, Instant::now() + PATIENCE, |line| line.contains(what));
        assert!(line.is_some(), "awaited of process {}: {what} in its log", self.id());
    }
}

/// Writes accounts as the server reads them, after a comment and a blank line.
pub(crate) fn write_credentials(path: &Path, accounts: &[(&str, &str)]) {
    let mut text = "# Accounts for a test.\n\n".to_owned();
    for (user, password) in accounts {
        writeln!(text, "{user} {password}").unwrap();
    }
    fs::write(path, text).expect("the credentials file can be written");
}

fn credentials_path(directory: &Path) -> PathBuf {
    directory.join("Accounts.txt")
}

#[track_caller]
fn await_addresses(program: &Program, count: usize) -> Vec<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    let addresses: Vec<_> = (0..)
        .map_while(|index| program.out.line(index, deadline))
        .filter_map(|line| line.trim_end().strip_prefix("listening ").map(str::to_owned))
        .map(|address| address.parse().unwrap_or_else(|_| panic!("`{address}` is no address and port")))
        .take(count)
        .collect();
    let id = program.id();
    assert!(addresses.len() == count, "awaited of process {id}: {count} line(s) `listening ADDR:PORT`");
    addresses
}
