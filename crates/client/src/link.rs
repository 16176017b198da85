//! One connection to Redis: plain, encrypted, or over a Unix socket.
//!
//! It is encrypted here and not by the Redis library, which takes the crypto provider of the process:
//! in a program that holds two of them and chose none, that is a panic.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisError};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_rustls::TlsConnector;

use crate::error::{SettingsError, Why};
use crate::news::{News, news};
use crate::settings::{Certificates, Pace, Target};

/// An open connection, and what Redis says on it unasked.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) news: News,
    /// Ends with the link.
    _driver: JoinSet<()>,
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Link {
    /// Connects, encrypts and logs in.
    pub(crate) async fn open(target: &Target, pace: &Pace) -> Result<Self, Why> {
        let opened = tokio::time::timeout(pace.answer_within, open(target, pace)).await;
        opened
            .unwrap_or_else(|_| Err("no connection in time".to_owned()))
            .map_err(|why| Why::new(&format!("{}: {why}", target.address())))
    }
}

async fn open(target: &Target, pace: &Pace) -> Result<Link, String> {
    let (sender, news) = news();
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(pace.answer_within))
        .set_push_sender(sender);
    let opened = match target.address() {
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(text)?;
            log_in(target, stream, config).await
        }
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            match &target.tls {
                None => log_in(target, stream, config).await,
                Some(certificates) => {
                    // Files are read, and a system has many.
                    let certificates = certificates.clone();
                    let tls = spawn_blocking(move || encryption(&certificates));
                    let tls = TlsConnector::from(Arc::new(tls.await.map_err(text)?.map_err(text)?));
                    let name = ServerName::try_from(host.clone()).map_err(text)?;
                    log_in(target, tls.connect(name, stream).await.map_err(text)?, config).await
                }
            }
        }
        other => return Err(format!("{other} is not understood")),
    };
    let (connection, driver) = opened.map_err(|error| describe_refusal(&error))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    Ok(Link { connection, news, _driver: tasks })
}

async fn log_in(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    config: AsyncConnectionConfig,
) -> Result<(MultiplexedConnection, Driver), RedisError> {
    let login = target.info.redis_settings();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(login, stream, config).await?;
    Ok((connection, Box::pin(driver)))
}

/// How a connection is encrypted. Also shows whether the files are of use.
pub(crate) fn encryption(certificates: &Certificates) -> Result<ClientConfig, SettingsError> {
    let tls = |error: rustls::Error| SettingsError::Tls(error.to_string());
    // What the program chose, if it did; a library must not choose for it.
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots(certificates.ca.as_deref())?);
    match &certificates.own {
        None => Ok(config.with_no_client_auth()),
        Some((certificate, key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(unusable(key_file))?;
            config.with_client_auth_cert(read(certificate)?, key).map_err(tls)
        }
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in read(ca)? {
            roots.add(certificate).map_err(unusable(ca))?;
        }
        return Ok(roots);
    }
    // A system's store often has some that cannot be parsed; the others will do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(SettingsError::Tls("the system has no certificates; set a CA".to_owned()));
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let read: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates = read.map_err(unusable(file))?;
    if certificates.is_empty() {
        return Err(unusable(file)("holds no certificate"));
    }
    Ok(certificates)
}

fn unusable<E: ToString>(file: &Path) -> impl Fn(E) -> SettingsError {
    |error| SettingsError::File { path: file.to_owned(), why: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Why Redis does not let anybody in. A server that does not know the command repeats its arguments,
/// of which the password is one: so only the code is told where it is not a plain refusal.
fn describe_refusal(error: &RedisError) -> String {
    let login = matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        || error.kind() == ErrorKind::AuthenticationFailed;
    match error.code() {
        _ if login => "refuses the login: set username and password".to_owned(),
        Some(code) => format!("refuses the connection: {code}"),
        None => describe(error),
    }
}

/// An error's text, on one line and without the arguments that a server may repeat.
pub(crate) fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(", with args").next().unwrap_or_default().trim().to_owned()
}
