//! A directory in which one client after the other runs, with what they remember of servers.
//!
//! Owns the place of `known_hosts`; must not know which keys are right.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::client::{Client, ClientSetup};
use super::server::PEOPLE;

/// A person's own place.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    /// One where nothing is remembered.
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The client's configuration directory.
    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    /// The file of servers' keys.
    pub(crate) fn known_hosts_path(&self) -> PathBuf {
        self.config().join("known_hosts")
    }

    /// What is remembered; nothing if there is no such file.
    pub(crate) fn known_hosts(&self) -> String {
        fs::read_to_string(self.known_hosts_path()).unwrap_or_default()
    }

    /// Replaces what is remembered.
    pub(crate) fn write_known_hosts(&self, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.config()).expect("a configuration directory");
        fs::write(self.known_hosts_path(), text).expect("the file of keys can be written");
    }

    /// A client with the JSON face that goes to `address` with these options and a user's right password.
    #[track_caller]
    pub(crate) fn visit(&self, address: SocketAddr, user: &str, args: &[&str]) -> Client {
        let (_, password) = PEOPLE.iter().find(|(name, _)| *name == user).expect("one of PEOPLE");
        let args = &[&["--json", "--user", user], args].concat();
        ClientSetup { args, password: Some(password), input: None }.start_in(self.path(), address)
    }

    /// The same, and asserts that it gives up before anybody is logged in: the words with which it does.
    #[track_caller]
    pub(crate) fn assert_turned_away(
        &self,
        address: SocketAddr,
        args: &[&str],
        code: i32,
        clues: &[&str],
    ) -> String {
        let mut client = self.visit(address, "ada", args);
        let (exit_code, said) = (client.wait_exit(), client.complaint());
        let missing: Vec<_> = clues.iter().filter(|clue| !said.contains(**clue)).collect();
        if exit_code != code || !missing.is_empty() || client.output().contains(r#""login""#) {
            client.fail(&format!(
                "exit code {code} without a log-in, not {exit_code}, and on standard error: {missing:?}"
            ));
        }
        said
    }
}
