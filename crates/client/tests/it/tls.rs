//! Encrypted connections, with authorities of one's own.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use zhongkong_client::{Builder, Client, NoToken, SettingsError};
use zhongkong_testkit::ports::free_port;

use crate::scene::{SHORT, Scene, ready, refuses, shows, watch};

/// An authority, and a folder for what it signs.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than what it signs, which would pass for self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `<name>.pem` and `<name>.key`.
    fn sign(&self, name: &str) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = [self.file(&format!("{name}.pem")), self.file(&format!("{name}.key"))];
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    }

    /// A Redis that shows a certificate for `name`.
    async fn redis(&self, name: &str, asks_for_certificates: bool) -> (Scene, Builder) {
        let port = free_port();
        let [certificate, key] = self.sign(name);
        let asks = if asks_for_certificates { "yes" } else { "no" };
        let scene = Scene::with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            certificate.to_str().unwrap(),
            "--tls-key-file",
            key.to_str().unwrap(),
            "--tls-ca-cert-file",
            self.file("ca.pem").to_str().unwrap(),
            "--tls-auth-clients",
            asks,
        ])
        .await;
        scene.publish("first").await;
        (scene, Client::builder(&format!("rediss://127.0.0.1:{port}")).max_age(SHORT))
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let (mut scene, builder) = authority.redis("127.0.0.1", false).await;
    let (_client, reader) = watch(builder.ca(authority.file("ca.pem")));
    assert_eq!(ready(&reader).await.expose(), "first");
    scene.redis.restart().await;
    scene.publish("second").await;
    shows(&reader, "second").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (_scene, builder) = authority.redis("redis.example", false).await;
    let (_client, reader) = watch(builder.ca(authority.file("ca.pem")));
    let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_scene, builder) = authority.redis("127.0.0.1", false).await;
    // The system's authorities do not know this one either.
    for builder in [builder.clone().ca(other.file("ca.pem")), builder] {
        let (_client, reader) = watch(builder);
        let error = refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_is_shown_where_redis_asks_for_one() {
    let authority = Authority::new();
    let (_scene, builder) = authority.redis("127.0.0.1", true).await;
    let builder = builder.ca(authority.file("ca.pem"));
    let [certificate, key] = authority.sign("shop");
    let (_client, reader) = watch(builder.clone().client_certificate(certificate, key));
    assert_eq!(ready(&reader).await.expose(), "first");
    let (_client, reader) = watch(builder);
    refuses(&reader, |why| matches!(why, NoToken::Unread { why: Some(_) })).await;
}

#[tokio::test]
async fn files_that_are_of_no_use_are_refused_at_the_start() {
    let authority = Authority::new();
    let [certificate, key] = authority.sign("shop");
    let builder = || Client::builder("rediss://localhost");
    for (builder, file) in [
        (builder().ca(authority.file("absent.pem")), "absent.pem"),
        (builder().ca(&key), "shop.key"),
        (builder().client_certificate(&certificate, authority.file("ca.pem")), "ca.pem"),
    ] {
        let error = builder.start().unwrap_err();
        assert!(
            matches!(&error, SettingsError::File { path, .. } if path.ends_with(file)),
            "{error}"
        );
    }
}
