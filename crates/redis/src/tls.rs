//! Encryption: the files that it takes, read anew for each connection, and why it failed, in words.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::{ClientTlsConfig, ErrorKind, RedisError, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError};

/// The largest file, in bytes: a bundle of all public authorities has a quarter of one million.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// How connections are encrypted: files in PEM form, which may be replaced at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities to trust, if not the system's.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// A file that is of no use. Nothing of what it holds is told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the file {} {why}", path.display())]
pub struct UselessFile {
    /// The key that names it in the configuration's section.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl Tls {
    /// Whether the files are of use now.
    pub fn check(&self) -> Result<(), UselessFile> {
        self.read().map(drop)
    }

    /// What the files hold now.
    pub(crate) fn read(&self) -> Result<TlsCertificates, UselessFile> {
        let root_cert = self.ca.as_deref().map(|ca| certificates("ca", ca)).transpose()?;
        let own = self.own.as_ref().map(|(certificate, key)| {
            let client_cert = certificates("client_cert", certificate)?;
            let client_key = contents("client_key", key)?;
            if PrivateKeyDer::from_pem_slice(&client_key).is_err() {
                return Err(useless("client_key", key)(
                    "holds no private key in PEM form, or one that takes a passphrase",
                ));
            }
            Ok(ClientTlsConfig { client_cert, client_key })
        });
        Ok(TlsCertificates { client_tls: own.transpose()?, root_cert })
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<u8>, UselessFile> {
    let bytes = contents(key, path)?;
    let mut found = CertificateDer::pem_slice_iter(&bytes).peekable();
    if found.peek().is_none() || found.any(|certificate| certificate.is_err()) {
        return Err(useless(key, path)("holds no certificate in PEM form"));
    }
    Ok(bytes)
}

fn contents(key: &'static str, path: &Path) -> Result<Vec<u8>, UselessFile> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(read) if u64::try_from(read).is_ok_and(|read| read <= FILE_MAX) => Ok(bytes),
        Ok(_) => Err(useless(key, path)("is larger than 4 MiB")),
        Err(error) => Err(useless(key, path)(&format!("cannot be read: {error}"))),
    }
}

fn useless(key: &'static str, path: &Path) -> impl FnOnce(&str) -> UselessFile {
    move |why| UselessFile { key, path: path.to_owned(), why: why.to_owned() }
}

/// Makes this program's cryptography the process' own, unless that has one: a process with two of them and no choice would
/// panic at its first connection.
pub(crate) fn choose_cryptography() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Why a connection failed, if it was for its encryption, or for the lack of one; and what to do about that.
pub(crate) fn explain(error: &RedisError, host: &str, tls: Option<&Tls>) -> Option<String> {
    let Some(tls) = tls else {
        // What TLS says of words that are none of its own is no word of Redis; or it says nothing, and closes.
        let odd = error.kind() == ErrorKind::Parse || error.is_connection_dropped();
        let odd = odd && !error.is_connection_refusal();
        return odd.then(|| {
            format!("{error}; if this is a port for encrypted connections, use rediss://")
        });
    };
    if error.kind() == ErrorKind::InvalidClientConfig {
        return Some(
            "the certificate in redis.client_cert and the key in redis.client_key do not belong together"
                .to_owned(),
        );
    }
    if error.is_timeout() {
        // A server that waits for the end of a line, which no first word of TLS need have.
        return Some(format!("{error}; it is down, or {PLAIN}"));
    }
    Some(match cause(error)? {
        rustls::Error::InvalidCertificate(why) => refused(why, host, tls),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => LACKS.to_owned(),
        // The version of the protocol before the last has no alert of its own for it.
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) if tls.own.is_none() => {
            LACKS.to_owned()
        }
        rustls::Error::AlertReceived(alert) => match &tls.own {
            Some((certificate, _)) => format!(
                "it does not accept the certificate in {} ({alert:?}); \
                 let an authority that it trusts sign one, and set redis.client_cert and redis.client_key",
                certificate.display()
            ),
            None => format!("it refuses an encrypted connection ({alert:?})"),
        },
        rustls::Error::InvalidMessage(_) => PLAIN.to_owned(),
        other => format!("no encrypted connection: {other}"),
    })
}

const PLAIN: &str =
    "it does not speak TLS on this port; name its tls-port, or use redis:// without encryption";
const LACKS: &str =
    "it asks for a certificate of the client; set redis.client_cert and redis.client_key";

fn refused(why: &CertificateError, host: &str, tls: &Tls) -> String {
    match why {
        // The latter where an authority of the same name was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => match &tls.ca {
            Some(ca) => format!(
                "no authority in {} signed its certificate; set redis.ca to the one that did",
                ca.display()
            ),
            None => "no authority that this system trusts signed its certificate; \
                     set redis.ca to the one that did"
                .to_owned(),
        },
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "its certificate is not for {host} but for {}; \
             redis.url must name it so, or its certificate must have that name",
            presented.join(", ")
        ),
        CertificateError::NotValidForName => format!(
            "its certificate is not for {host}; redis.url must name it as its certificate does"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there, or set this machine's clock right"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; set this machine's clock right, or that of who signed it"
                .to_owned()
        }
        other => format!("its certificate is refused: {other}"),
    }
}

/// What the encryption said, deep within an error of the Redis library.
fn cause(error: &RedisError) -> Option<&rustls::Error> {
    let within = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    within.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}
