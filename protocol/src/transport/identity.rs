//! A key with its certificate: read from PEM, or made anew.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use thiserror::Error;

use super::tls;
use crate::fingerprint::Fingerprint;

/// What one end shows the other.
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    fingerprint: Fingerprint,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The text holds no certificate.
    #[error("there is no certificate in it (PEM, 'BEGIN CERTIFICATE'): {0}")]
    Certificate(pem::Error),
    /// A certificate that cannot be read.
    #[error("its certificate is damaged")]
    Damaged,
    /// The text holds no key.
    #[error("there is no private key in it (PEM, 'BEGIN PRIVATE KEY'): {0}")]
    Key(pem::Error),
    /// A new one could not be made.
    #[error("a key could not be made: {0}")]
    Made(#[from] rcgen::Error),
}

impl Identity {
    /// From PEM texts.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(IdentityError::Certificate)?;
        let first = chain.first().ok_or(IdentityError::Certificate(pem::Error::NoItemsFound))?;
        let fingerprint = tls::fingerprint(first).ok_or(IdentityError::Damaged)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
        Ok(Self { chain, key, fingerprint })
    }

    /// Makes a new key, of the system's randomness, and a certificate for it: the PEM texts of both.
    pub fn make() -> Result<(String, String), IdentityError> {
        let key = KeyPair::generate()?.serialize_pem();
        Ok((Self::certify(&key)?, key))
    }

    /// Makes a certificate for a key, both in PEM. It says nothing; whoever relies on it relies on its key.
    pub fn certify(key: &str) -> Result<String, IdentityError> {
        let key = KeyPair::from_pem(key)?;
        let certificate = CertificateParams::new(vec!["parlour.invalid".to_owned()])?.self_signed(&key)?;
        Ok(certificate.pem())
    }

    /// The fingerprint of its key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The key stays out of logs.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}
