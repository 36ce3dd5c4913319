//! The server's key: the operator's, or one that is made at the first start and kept.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use std::sync::Arc;

use protocol::{
    Fingerprint,
    transport::{Identity, IdentityError, server_config},
};
use rustls::ServerConfig;
use thiserror::Error;

use crate::{
    options::{Encryption, Options},
    private,
};

/// Why there is no usable key. Each message names the file.
#[derive(Debug, Error)]
pub enum IdentityFileError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// "read" or "write".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in a file makes no identity.
    #[error("{} cannot be used: {source}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// A key of a kind that is not supported, or a damaged one.
    #[error("{} cannot be used: {source}; ECDSA P-256, P-384, Ed25519 and RSA keys can", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The key is not the certificate's.
    #[error("the key in {} does not fit the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// How to encrypt, and the fingerprint of the key that is shown; `None` without TLS.
pub(super) fn load(options: &Options) -> Result<Option<(Arc<ServerConfig>, Fingerprint)>, IdentityFileError> {
    match &options.encryption {
        Encryption::None => Ok(None),
        Encryption::Given { certificate, key } => read(certificate, key).map(Some),
        Encryption::SelfSigned => {
            let certificate = options.data_dir.join("certificate.pem");
            let key = options.data_dir.join("key.pem");
            if !certificate.exists() {
                make(&options.data_dir, &certificate, &key)?;
            }
            read(&certificate, &key).map(Some)
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Fingerprint), IdentityFileError> {
    let content = |path: &Path| fs::read(path).map_err(failed("read", path));
    let identity = Identity::from_pem(&content(certificate)?, &content(key)?).map_err(|source| {
        let path = if matches!(source, IdentityError::Key(_)) { key } else { certificate };
        IdentityFileError::Content { path: path.to_owned(), source }
    })?;
    let fingerprint = identity.fingerprint();
    let config = server_config(identity).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => {
            IdentityFileError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        source => IdentityFileError::Key { path: key.to_owned(), source },
    })?;
    Ok((config, fingerprint))
}

/// Makes what is missing: the certificate, and the key unless there is one. A key that is there is the one that
/// clients know, so it is never replaced.
fn make(folder: &Path, certificate: &Path, key: &Path) -> Result<(), IdentityFileError> {
    let content = |source| IdentityFileError::Content { path: key.to_owned(), source };
    private::folder(folder).map_err(failed("write", folder))?;
    let certificate_pem = match fs::read_to_string(key) {
        Ok(known) => Identity::certify(&known).map_err(content)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (certificate_pem, key_pem) = Identity::make().map_err(content)?;
            write_private(key, &key_pem).map_err(failed("write", key))?;
            log::info!("made a key for this server; it is kept in {}", folder.display());
            certificate_pem
        }
        Err(source) => return Err(failed("read", key)(source)),
    };
    write_private(certificate, &certificate_pem).map_err(failed("write", certificate))
}

/// Readable by nobody else at any moment, and on the disk before its name is there.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let half_written = path.with_extension("new");
    // A leftover of an interrupted start may have any mode.
    match fs::remove_file(&half_written) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private::new_file(&half_written)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(half_written, path)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityFileError {
    let path = path.to_owned();
    move |source| IdentityFileError::File { doing, path, source }
}
