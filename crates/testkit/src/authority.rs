//! An authority of one's own that signs certificates, for a Redis that is encrypted.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// An authority, and a folder for what it signs.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than what it signs, which would pass for self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its own certificate, by which it is trusted.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// `<name>.pem` and `<name>.key`.
    pub fn sign(&self, name: &str) -> [PathBuf; 2] {
        self.sign_params(name, |_| {})
    }

    /// The same, but of no use any more since years.
    pub fn sign_expired(&self, name: &str) -> [PathBuf; 2] {
        self.sign_params(name, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    fn sign_params(&self, name: &str, change: fn(&mut CertificateParams)) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = [self.file(&format!("{name}.pem")), self.file(&format!("{name}.key"))];
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    }

    /// Options for a redis-server that shows this certificate on a port for encrypted connections, and may ask for one.
    pub fn redis_options(
        &self,
        port: u16,
        [certificate, key]: &[PathBuf; 2],
        asks: bool,
    ) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path(certificate)),
            ("--tls-key-file", path(key)),
            ("--tls-ca-cert-file", path(&self.ca())),
            ("--tls-auth-clients", if asks { "yes" } else { "no" }.to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}
