//! The file of other users' keys: a line for each that was shown, `server user SHA256:…`; the last one counts, and
//! `-` in place of a key forgets it.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use protocol::{Fingerprint, Username};

use super::known_hosts::{KnownHostsError, append_line, config_dir};
use crate::core::KnownPeers;

/// What the file says about the users of one server.
#[derive(Debug)]
pub(super) struct KnownPeersFile {
    path: PathBuf,
    server: String,
}

impl KnownPeersFile {
    pub(super) fn for_server(server: String) -> Result<Self, KnownHostsError> {
        Ok(Self { path: config_dir()?.join("known_peers"), server })
    }

    /// The keys of that server's users.
    pub(super) fn read(&self) -> Result<KnownPeers, KnownHostsError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KnownPeers::default()),
            Err(source) => {
                return Err(KnownHostsError::File { doing: "read", path: self.path.clone(), source });
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut keys = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (server, user, key) = parse(line)
                .ok_or_else(|| KnownHostsError::PeerLine { path: self.path.clone(), line: number })?;
            if server == self.server {
                match key {
                    Some(key) => keys.insert(user, key),
                    None => keys.remove(&user),
                };
            }
        }
        Ok(KnownPeers::new(keys))
    }

    /// Adds a line. One short append, so that clients side by side do not mix their lines.
    pub(super) fn remember(&self, user: &Username, key: Option<Fingerprint>) -> Result<(), KnownHostsError> {
        let key = key.map_or_else(|| "-".to_owned(), |key| key.to_string());
        append_line(&self.path, &format!("{} {user} {key}", self.server))
            .map_err(|source| KnownHostsError::File { doing: "write", path: self.path.clone(), source })
    }
}

fn parse(line: &str) -> Option<(&str, Username, Option<Fingerprint>)> {
    let mut words = line.split_whitespace();
    let (server, user, key) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let key = if key == "-" { None } else { Some(key.parse().ok()?) };
    words.next().is_none().then_some((server, user, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_last_line_counts_and_servers_are_kept_apart() {
        let folder = TempDir::new().unwrap();
        let file = |server: &str| KnownPeersFile {
            path: folder.path().join("config/known_peers"),
            server: server.to_owned(),
        };
        let (bob, eve): (Username, Username) = ("bob".parse().unwrap(), "eve".parse().unwrap());
        let key = |number| Fingerprint([number; 32]);
        assert_eq!(file("a:1").read().unwrap(), KnownPeers::default());
        for number in [1, 2] {
            file("a:1").remember(&bob, Some(key(number))).unwrap();
        }
        file("b:1").remember(&bob, Some(key(3))).unwrap();
        file("a:1").remember(&eve, Some(key(4))).unwrap();
        file("a:1").remember(&eve, None).unwrap();
        assert_eq!(file("a:1").read().unwrap(), KnownPeers::new(BTreeMap::from([(bob.clone(), key(2))])));
        assert_eq!(file("b:1").read().unwrap(), KnownPeers::new(BTreeMap::from([(bob, key(3))])));
        fs::write(folder.path().join("config/known_peers"), "a:1 bob\n").unwrap();
        assert!(file("a:1").read().unwrap_err().to_string().contains("line 1"));
    }
}
