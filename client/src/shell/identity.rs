//! This client's own key: made at its first start, kept in the configuration directory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use protocol::transport::{Identity, IdentityError};
use thiserror::Error;

use super::known_hosts::{KnownHostsError, config_dir};

/// Why there is no usable key. Each message names the file.
#[derive(Debug, Error)]
pub enum IdentityFileError {
    /// There is no place for it.
    #[error(transparent)]
    Place(#[from] KnownHostsError),
    /// It cannot be read or written.
    #[error("cannot {doing} this client's key in {}: {source}", path.display())]
    File {
        /// "read" or "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in the file is no identity.
    #[error("{} cannot be used: {source}; move it away, and a new key is made", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
}

/// Reads the key, or makes it. With it comes a warning if a new one could not be kept: then it serves for this
/// session, and the next one has another.
pub(super) fn load() -> Result<(Identity, Option<String>), IdentityFileError> {
    let path = config_dir()?.join("identity.pem");
    let content = |source| IdentityFileError::Content { path: path.clone(), source };
    match fs::read(&path) {
        Ok(pem) => Identity::from_pem(&pem, &pem).map_err(content).map(|identity| (identity, None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (certificate, key) = Identity::make().map_err(content)?;
            let made = (key + &certificate).into_bytes();
            let (pem, warning) = match keep(&path, &made) {
                Ok(kept) => (kept, None),
                Err(source) => {
                    let error = IdentityFileError::File { doing: "write", path: path.clone(), source };
                    (made, Some(format!("{error}. This session has a key that the next one will not have.")))
                }
            };
            Identity::from_pem(&pem, &pem).map_err(content).map(|identity| (identity, warning))
        }
        Err(source) => Err(IdentityFileError::File { doing: "read", path, source }),
    }
}

/// Writes a new key, unless another client does so first: then that one counts.
fn keep(path: &Path, pem: &[u8]) -> io::Result<Vec<u8>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let half_written = path.with_extension(format!("{}.new", std::process::id()));
    write_private(&half_written, pem)?;
    let linked = fs::hard_link(&half_written, path);
    let _ = fs::remove_file(&half_written);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::read(path),
    }
}

/// Readable by nobody else at any moment.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
