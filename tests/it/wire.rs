//! Bytes to a worker and back as they are, over TCP or within TLS.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zhongkong_testkit::{Authority, PATIENCE, Worker};

/// The way to a worker.
pub(crate) struct Way {
    address: String,
    tls: Option<TlsConnector>,
}

/// A connection, encrypted or not.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl Way {
    pub(crate) fn plain(worker: &Worker) -> Self {
        Self { address: worker.http_url().replace("http://", ""), tls: None }
    }

    /// To a worker whose certificate `authority` signed for 127.0.0.1.
    pub(crate) fn encrypted(worker: &Worker, authority: &Authority) -> Self {
        Self::offering(worker, authority, &[], rustls::ALL_VERSIONS)
    }

    /// Likewise, with these protocols within and these versions of TLS alone.
    pub(crate) fn offering(
        worker: &Worker,
        authority: &Authority,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_protocol_versions(versions).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { tls: Some(Arc::new(config).into()), ..Self::plain(worker) }
    }

    /// A connection; the error of its encryption, if it does not come about.
    pub(crate) async fn open(&self) -> io::Result<Box<dyn Connection>> {
        match &self.tls {
            Some(_) => Ok(Box::new(self.open_encrypted().await?)),
            None => Ok(Box::new(self.connect().await)),
        }
    }

    pub(crate) async fn open_encrypted(&self) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connecting = self.tls.as_ref().unwrap().connect(name, self.connect().await);
        timeout(PATIENCE, connecting).await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Sends `bytes`, and reads until the worker closes the connection.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> String {
        let mut connection = self.open().await.unwrap();
        // A worker that has refused may have closed.
        drop(connection.write_all(bytes).await);
        drop(connection.flush().await);
        rest(&mut connection).await
    }
}

/// What still comes, until the worker closes the connection. Where bytes are left unread, that may be a reset.
pub(crate) async fn rest(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, connection.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8(answer).unwrap()
}

/// TLS 1.2 and 1.3.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
