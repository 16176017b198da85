//! The certificate that the HTTP interface shows, and its key: files in PEM form, read whole at each load.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::section::Section;

/// The largest file, in bytes: a chain of certificates has some thousands.
const FILE_MAX: u64 = 1024 * 1024;
/// The one protocol that is spoken within.
const PROTOCOL: &[u8] = b"http/1.1";
/// Authorities renew their shortest certificates, of 90 days, a month before the end: less than this is late.
const LATE: Duration = Duration::from_hours(14 * 24);

/// How connections to the HTTP interface are encrypted.
#[derive(Clone)]
pub struct HttpTls {
    /// The file of the certificate, which those that lead to its authority may follow.
    pub cert: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// What they held, ready for use.
    pub server: Arc<ServerConfig>,
    /// What the certificate says; nothing if it could not be read, though it can be used.
    pub says: Option<Certificate>,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// It does not hold before, in seconds since 1970.
    pub from: u64,
    /// Nor after.
    pub until: u64,
}

/// Whether a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Callers refuse it yet.
    NotYet,
    /// For long enough.
    Holds,
    /// It should have been renewed by now.
    EndsSoon,
    /// Callers refuse it.
    Expired,
}

impl Certificate {
    fn read(bytes: &[u8]) -> Option<Self> {
        let certificate = X509::from_der(bytes).ok()?;
        let certificate = certificate.tbs_certificate();
        let names = certificate.get_extension::<SubjectAltName>().ok()?;
        let names =
            names.into_iter().flat_map(|(_, names)| names.0).filter_map(|name| name_of(&name));
        let validity = certificate.validity();
        Some(Self {
            names: names.collect(),
            from: validity.not_before.to_unix_duration().as_secs(),
            until: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// Whether it holds at `now`, in seconds since 1970.
    pub const fn validity(&self, now: u64) -> Validity {
        if now < self.from {
            Validity::NotYet
        } else if now > self.until {
            Validity::Expired
        } else if self.until - now < LATE.as_secs() {
            Validity::EndsSoon
        } else {
            Validity::Holds
        }
    }
}

fn name_of(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => {
            let address = address.as_bytes();
            let short = <[u8; 4]>::try_from(address).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let long = <[u8; 16]>::try_from(address).map(|bytes| Ipv6Addr::from(bytes).to_string());
            short.or(long).ok()
        }
        _ => None,
    }
}

impl fmt::Debug for HttpTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTls")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("says", &self.says)
            .finish_non_exhaustive()
    }
}

/// The files that `section` names, if any; what is wrong with them is told of it.
pub(super) fn read(section: &Section<'_>) -> Option<HttpTls> {
    let path = |key: &str| {
        section.read(key, |raw| match raw.text()? {
            "" => Err("must not be empty".to_owned()),
            file => Ok(section.directory_of(key).join(file)),
        })
    };
    let (cert, key) = (path("tls_cert"), path("tls_key"));
    for (given, missing) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        if section.has(given) && !section.has(missing) {
            section.problem(given, &format!("takes a {missing}"));
        }
    }
    let (cert, key) = cert.zip(key)?;
    let chain = certificates(&cert).map_err(|why| section.problem("tls_cert", &why)).ok();
    let private = private_key(&key).map_err(|why| section.problem("tls_key", &why)).ok();
    let (chain, private) = chain.zip(private)?;
    let says = chain.first().and_then(|own| Certificate::read(own));
    match server(chain, private) {
        Ok(server) => Some(HttpTls { cert, key, server: Arc::new(server), says }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let what = format!(
                "the key in {} does not belong to the first certificate in {}, which must be the worker's own; \
                 name the key that was made with it",
                key.display(),
                cert.display()
            );
            section.problem("tls_key", &what);
            None
        }
        Err(error) => {
            let what = format!("the certificate in {} cannot be used: {error}", cert.display());
            section.problem("tls_cert", &what);
            None
        }
    }
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut server = builder.with_no_client_auth().with_single_cert(chain, key)?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(server)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("the file {} holds no certificate in PEM form", path.display())),
    }
}

/// Nothing of what the file holds is told.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&contents(path)?).map_err(|_| {
        format!(
            "the file {} holds no private key in PEM form, or one that takes a passphrase",
            path.display()
        )
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(read) if u64::try_from(read).is_ok_and(|read| read <= FILE_MAX) => Ok(bytes),
        Ok(_) => Err(format!("the file {} is larger than 1 MiB", path.display())),
        Err(error) => Err(format!(
            "the file {} cannot be read: {error}; create it, readable by this user, or name another",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zhongkong_testkit::Authority;

    use super::*;
    use crate::config::testing::{ACCOUNT, loaded, refused};

    fn toml([cert, key]: &[PathBuf; 2]) -> String {
        format!("[http]\ntls_cert = {cert:?}\ntls_key = {key:?}\n{ACCOUNT}")
    }

    #[test]
    fn a_certificate_says_what_it_is_for_and_until_when() {
        let authority = Authority::new();
        for name in ["zhongkong.example", "127.0.0.1", "::1"] {
            let tls = loaded(&toml(&authority.sign(name))).config.http.tls.unwrap();
            assert_eq!(tls.server.alpn_protocols, [PROTOCOL]);
            let says = tls.says.unwrap();
            assert_eq!(says.names, [name]);
            assert!(says.from < says.until, "{says:?}");
        }
        let expired = loaded(&toml(&authority.sign_expired("old.example"))).config.http.tls;
        let until = expired.unwrap().says.unwrap().until;
        assert_eq!(until, 1_577_836_800, "2020-01-01T00:00:00Z");
    }

    #[test]
    fn a_certificate_holds_between_two_instants_and_should_be_renewed_before_the_second() {
        let says = Certificate { names: Vec::new(), from: 1_000, until: 10_000_000 };
        for (now, expected) in [
            (999, Validity::NotYet),
            (1_000, Validity::Holds),
            (10_000_000 - LATE.as_secs(), Validity::Holds),
            (10_000_001 - LATE.as_secs(), Validity::EndsSoon),
            (10_000_000, Validity::EndsSoon),
            (10_000_001, Validity::Expired),
        ] {
            assert_eq!(says.validity(now), expected, "{now}");
        }
    }

    #[test]
    fn a_chain_begins_with_the_workers_own() {
        let authority = Authority::new();
        let [cert, key] = authority.sign("zhongkong.example");
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (own, above) = (text(&cert), text(&authority.ca()));
        std::fs::write(&cert, format!("{own}{above}")).unwrap();
        let files = [cert.clone(), key];
        loaded(&toml(&files));
        std::fs::write(&cert, format!("{above}{own}")).unwrap();
        refused(&toml(&files), &["toml:3: http.tls_key: ", "first certificate in", "own"]);
    }

    #[test]
    fn files_of_no_use_are_refused_with_what_to_do_and_never_their_text() {
        let authority = Authority::new();
        let [cert, key] = authority.sign("zhongkong.example");
        let [_, another] = authority.sign("another.example");
        let file = |name: &str, text: &str| {
            let path = authority.file(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let none = PathBuf::from("/no/such.pem");
        let empty = file("empty.pem", "");
        let broken = file(
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\nczNjcmV0\n-----END CERTIFICATE-----\n",
        );
        let torn = file("torn.pem", "-----BEGIN PRIVATE KEY-----\ns3cret");
        let huge = file("huge.pem", &"s3cret\n".repeat(200_000));
        for (files, parts) in [
            (
                [none.clone(), key.clone()],
                ["toml:2: http.tls_cert: ", "/no/such.pem cannot be read"],
            ),
            ([cert.clone(), none], ["toml:3: http.tls_key: ", "readable by this user"]),
            ([empty.clone(), key.clone()], ["tls_cert: ", "holds no certificate in PEM form"]),
            ([key.clone(), key.clone()], ["tls_cert: ", "holds no certificate in PEM form"]),
            ([cert.clone(), empty], ["tls_key: ", "holds no private key in PEM form"]),
            ([cert.clone(), cert.clone()], ["tls_key: ", "holds no private key in PEM form"]),
            ([cert.clone(), torn], ["tls_key: ", "holds no private key in PEM form"]),
            ([huge, key.clone()], ["tls_cert: ", "is larger than 1 MiB"]),
            ([cert.clone(), another], ["tls_key: ", "does not belong to the first certificate"]),
            ([broken, key.clone()], ["tls_cert: ", "cannot be used: "]),
        ] {
            refused(&toml(&files), &parts);
        }
        for (line, part) in [
            (format!("tls_cert = {cert:?}"), "http.tls_cert: takes a tls_key"),
            (format!("tls_key = {key:?}"), "http.tls_key: takes a tls_cert"),
            (format!("tls_cert = \"\"\ntls_key = {key:?}"), "http.tls_cert: must not be empty"),
        ] {
            refused(&format!("[http]\n{line}\n"), &[part]);
        }
    }

    #[test]
    fn encryption_opens_no_other_address_than_loopback() {
        let files = toml(&Authority::new().sign("zhongkong.example"));
        let toml = files.replacen("[http]", "[http]\nlisten = \"0.0.0.0:8620\"", 1);
        refused(&toml, &["http.listen: ", "needs [[http.tokens]]"]);
    }
}
