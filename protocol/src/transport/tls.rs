//! TLS as both ends use it: version 1.3 only, one provider of cryptography, keys that are pinned instead of
//! certificates that somebody signed.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    version::TLS13,
};

use super::identity::Identity;
use crate::fingerprint::Fingerprint;

/// RFC 9266.
pub(super) const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// For a server that shows `identity` and asks for none.
pub fn server_config(identity: Identity) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    // A resumed session would save a third of a millisecond and cost memory for every client.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For a client that takes any key for now: whether it is the right one is decided after the handshake and
/// before anything else is said.
pub fn client_config() -> Result<Arc<ClientConfig>, Error> {
    let provider = provider();
    let verifier = Arc::new(AnyKey { provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// For links between clients, each of which shows `identity` and takes any key for now: as the side that is
/// dialled, and as the one that dials.
pub fn peer_configs(identity: &Identity) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Error> {
    let verifier = Arc::new(AnyKey { provider: provider() });
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    server.send_tls13_tickets = 0;
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?;
    Ok((Arc::new(server), Arc::new(client)))
}

/// The name to ask a server for; one that cannot be written in a certificate is replaced.
pub fn server_name(host: &str) -> ServerName<'static> {
    let named = ServerName::try_from(host.to_owned()).ok();
    named.unwrap_or_else(|| ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into()))
}

/// The fingerprint of the key in a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<Fingerprint> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(Fingerprint::of_key(&parsed.subject_public_key_info()))
}

/// The one place that chooses the cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Checks that the other side has the key it shows, and not whose key it is.
#[derive(Debug)]
struct AnyKey {
    provider: Arc<CryptoProvider>,
}

/// A certificate whose key cannot be read could never be pinned.
fn check_readable(certificate: &CertificateDer<'_>) -> Result<(), Error> {
    let bad = Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
    fingerprint(certificate).map(|_| ()).ok_or(bad)
}

fn no_tls12() -> Error {
    Error::General("TLS 1.2 is not spoken here".to_owned())
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_readable(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

impl ClientCertVerifier for AnyKey {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_readable(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
}
