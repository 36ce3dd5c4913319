//! The file of servers' keys: a line per server, its name and its fingerprint.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use protocol::Fingerprint;
use thiserror::Error;

/// What is wrong with the file. Each message names it, and the line if there is one.
#[derive(Debug, Error)]
pub enum KnownHostsError {
    /// There is no place for it.
    #[error(
        "cannot tell where configuration belongs on this system; name a directory with PARLOUR_CONFIG_DIR"
    )]
    NoPlace,
    /// It cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// "read" or "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("{}, line {line}: expected 'host:port SHA256:…'; mend or remove that line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A line in the file of users' keys makes no sense.
    #[error("{}, line {line}: expected 'host:port user SHA256:…'; mend or remove that line", path.display())]
    PeerLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// What the file says about one server.
#[derive(Debug)]
pub(super) struct KnownHosts {
    path: PathBuf,
    server: String,
}

impl KnownHosts {
    pub(super) fn for_server(server: String) -> Result<Self, KnownHostsError> {
        Ok(Self { path: config_dir()?.join("known_hosts"), server })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's key, if it is known.
    pub(super) fn fingerprint(&self) -> Result<Option<Fingerprint>, KnownHostsError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("read")(source)),
        };
        // A comment may be in any encoding; anything else that is damaged fits no server and no key.
        let text = String::from_utf8_lossy(&bytes);
        let mut found = None;
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parsed =
                line.split_once(' ').and_then(|(server, key)| Some((server, key.trim().parse().ok()?)));
            let (server, key) =
                parsed.ok_or_else(|| KnownHostsError::Line { path: self.path.clone(), line: number })?;
            if server == self.server {
                found = Some(key);
            }
        }
        Ok(found)
    }

    /// Adds a line for the server. One short append, so that clients side by side do not mix their lines.
    pub(super) fn remember(&self, fingerprint: Fingerprint) -> Result<(), KnownHostsError> {
        append_line(&self.path, &format!("{} {fingerprint}", self.server)).map_err(self.failed("write"))
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> KnownHostsError + use<> {
        let path = self.path.clone();
        move |source| KnownHostsError::File { doing, path, source }
    }
}

/// Adds a line to a file that nobody else may read, which is made if it is not there.
pub(super) fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut line = format!("{line}\n");
    // Whoever edited the file may have left its last line without an end.
    if fs::read(path).is_ok_and(|before| before.last().is_some_and(|&last| last != b'\n')) {
        line.insert(0, '\n');
    }
    open_to_append(path)?.write_all(line.as_bytes())
}

/// Opens a file that nobody else may read, which is made if it is not there. What is written goes to its end, wherever
/// that is by then.
pub(super) fn open_to_append(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Where this client keeps what outlives it.
pub(super) fn config_dir() -> Result<PathBuf, KnownHostsError> {
    if let Some(named) = env::var_os("PARLOUR_CONFIG_DIR").filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let strategy = etcetera::choose_base_strategy().map_err(|_| KnownHostsError::NoPlace)?;
    Ok(strategy.config_dir().join("parlour"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn at(folder: &TempDir, server: &str) -> KnownHosts {
        KnownHosts { path: folder.path().join("config/known_hosts"), server: server.to_owned() }
    }

    #[test]
    fn each_server_has_its_own_key() {
        let folder = TempDir::new().unwrap();
        let servers = ["host:1", "host:11", "ost:1", "[::1]:1", "host:2"];
        for (server, number) in servers.into_iter().zip(0..) {
            assert_eq!(at(&folder, server).fingerprint().unwrap(), None);
            at(&folder, server).remember(Fingerprint([number; 32])).unwrap();
        }
        for (server, number) in servers.into_iter().zip(0..) {
            assert_eq!(at(&folder, server).fingerprint().unwrap(), Some(Fingerprint([number; 32])));
        }
    }

    #[test]
    fn clients_side_by_side_do_not_mix_their_lines() {
        let folder = TempDir::new().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let known_hosts = at(&folder, &format!("host:{number}"));
                scope.spawn(move || known_hosts.remember(Fingerprint([number; 32])).unwrap());
            }
        });
        for number in 0..8 {
            let known = at(&folder, &format!("host:{number}")).fingerprint().unwrap();
            assert_eq!(known, Some(Fingerprint([number; 32])));
        }
    }
}
