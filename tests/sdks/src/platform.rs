//! The upstream under its real name, encrypted, as SDKs call it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use zhongkong_testkit::Authority;

/// What SDKs call.
pub(crate) const NAME: &str = "api.weixin.qq.com";
/// From where the upstream sees their calls.
pub(crate) const SERVICES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// It takes encrypted calls, and hands them on to the simulator.
pub(crate) struct Platform {
    authority: Authority,
    _serving: JoinSet<()>,
}

impl Platform {
    /// At `address`, where the simulator is at `port` of this machine.
    pub(crate) async fn start(address: Ipv4Addr, port: u16) -> Self {
        let authority = Authority::new();
        let [certificate, key] = authority.sign(NAME);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener =
            TcpListener::bind((address, 443)).await.expect("port 443 of a wire of our own");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while calls.try_join_next().is_some() {}
                calls.spawn(hand_on(acceptor.clone(), stream, port));
            }
        });
        Self { authority, _serving: serving }
    }

    /// Whoever trusts this file trusts it.
    pub(crate) fn ca(&self) -> PathBuf {
        self.authority.ca()
    }
}

/// A connection that breaks off is its caller's business.
async fn hand_on(acceptor: TlsAcceptor, stream: TcpStream, port: u16) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((SERVICES, 0))).unwrap();
    let Ok(mut simulator) = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await else {
        return;
    };
    drop(copy_bidirectional(&mut stream, &mut simulator).await);
}
