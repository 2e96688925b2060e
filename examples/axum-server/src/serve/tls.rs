//! TLS, with certificates that are read again while it serves.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The certificate to answer with. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Arc<(PathBuf, PathBuf)>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the certificates and the key.
    ///
    /// # Errors
    ///
    /// Which file cannot be used, and why. Never what is in it.
    pub fn open(certificates: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let files = Arc::new((certificates, key));
        let config = Arc::new(RwLock::new(read(&files)?));
        Ok(Self { files, config })
    }

    /// Reads both files again. Connections go on with the certificate that they began with.
    ///
    /// # Errors
    ///
    /// As for [`Tls::open`]; then the former certificate stays.
    pub fn reload(&self) -> anyhow::Result<()> {
        let config = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What the next connection is answered with.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config).into()
    }
}

fn read((certificates, key): &(PathBuf, PathBuf)) -> anyhow::Result<Arc<ServerConfig>> {
    let of = |path: &PathBuf| format!("the file {}", path.display());
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| of(certificates))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "{}: no certificate is in it",
        of(certificates)
    );
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| of(key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        // That they belong together is checked here, so that no handshake fails for it.
        .with_single_cert(chain, secret)
        .with_context(|| format!("{} and {}", of(certificates), of(key)))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
