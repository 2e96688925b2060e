use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::StoreError;

/// The authorities that a server's certificate is checked against, and our own certificate.
#[derive(Clone, Default)]
pub(super) struct Tls {
    /// Authorities beside or in place of the public ones.
    authorities: Option<Vec<CertificateDer<'static>>>,
    identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
}

impl Tls {
    pub(super) fn trust(&mut self, authorities: &[u8]) -> Result<(), StoreError> {
        self.authorities = Some(certificates(authorities)?);
        Ok(())
    }

    pub(super) fn identify(&mut self, chain: &[u8], key: &[u8]) -> Result<(), StoreError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| StoreError::tls("no key"))?;
        self.identity = Some(Arc::new((certificates(chain)?, key)));
        Ok(())
    }

    pub(super) async fn over(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, StoreError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| StoreError::tls("no name of a server"))?;
        TlsConnector::from(Arc::new(self.config()?))
            .connect(name, stream)
            .await
            .map_err(StoreError::unreachable)
    }

    fn config(&self) -> Result<ClientConfig, StoreError> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(authorities) => {
                for authority in authorities {
                    roots
                        .add(authority.clone())
                        .map_err(|_| StoreError::tls("an authority that is none"))?;
                }
            }
            // Compiled in: the system's store of certificates differs between machines.
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        // Named: a process default may be missing, or be chosen by another crate.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| StoreError::tls("no version of the protocol"))?
            .with_root_certificates(roots);
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => builder
                .with_client_auth_cert(identity.0.clone(), identity.1.clone_key())
                .map_err(|_| StoreError::tls("a certificate without its key")),
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(StoreError::tls("no certificate")),
    }
}

opaque_debug!(Tls, impl std::fmt::Debug for Tls);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_rejected() {
        let mut tls = Tls::default();
        assert!(tls.config().is_ok());
        for pem in [&b""[..], b"nothing", b"-----BEGIN CERTIFICATE-----\nxx"] {
            assert!(tls.trust(pem).is_err());
            assert!(tls.identify(pem, pem).is_err());
        }
    }
}
