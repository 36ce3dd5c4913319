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

/// Reads the key, or makes it.
pub(super) fn load() -> Result<Identity, IdentityFileError> {
    let path = config_dir()?.join("identity.pem");
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
        Err(source) => return Err(IdentityFileError::File { doing: "read", path, source }),
    };
    Identity::from_pem(&pem, &pem).map_err(|source| IdentityFileError::Content { path, source })
}

/// Makes a key and writes it, unless another client does so first: then that one counts.
fn make(path: &Path) -> Result<Vec<u8>, IdentityFileError> {
    let failed = |doing| move |source| IdentityFileError::File { doing, path: path.to_owned(), source };
    let (certificate, key) =
        Identity::make().map_err(|source| IdentityFileError::Content { path: path.to_owned(), source })?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed("write"))?;
    }
    let half_written = path.with_extension(format!("{}.new", std::process::id()));
    write_private(&half_written, &(key + &certificate)).map_err(failed("write"))?;
    let linked = fs::hard_link(&half_written, path);
    let _ = fs::remove_file(&half_written);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("write")(error)),
        _ => fs::read(path).map_err(failed("read")),
    }
}

/// Readable by nobody else at any moment.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
