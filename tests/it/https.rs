//! The HTTP interface over TLS: what is shown, what is spoken, and a certificate that is renewed while a worker runs.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use zhongkong_testkit::{Authority, Cluster, ClusterBuilder};

use crate::setup::{cluster, until};
use crate::wire::{VERSIONS, Way, rest};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// One worker with this certificate and key.
pub(crate) fn with_certificate(files: &[PathBuf; 2]) -> ClusterBuilder {
    let [cert, key] = files.each_ref().map(|file| file.to_str().unwrap());
    cluster().workers(1).env("ZHONGKONG__HTTP__TLS_CERT", cert).env("ZHONGKONG__HTTP__TLS_KEY", key)
}

/// Starts it, and waits until the worker is ready.
pub(crate) async fn start(cluster: ClusterBuilder, authority: &Authority) -> Cluster {
    let cluster = cluster.start_unready().await;
    until(&cluster, "the worker listens", async || {
        TcpStream::connect(cluster.workers()[0].http_url().replace("http://", "")).await.is_ok()
    })
    .await;
    let way = Way::encrypted(&cluster.workers()[0], authority);
    until(&cluster, "the worker is ready", async || {
        way.ask(READY).await.starts_with("HTTP/1.1 200 ")
    })
    .await;
    cluster
}

fn own(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

/// The certificate that a new connection is shown.
async fn shown(way: &Way) -> CertificateDer<'static> {
    let connection = way.open_encrypted().await.unwrap();
    let (_, session) = connection.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

fn replace(files: &[PathBuf; 2], by: &[PathBuf; 2]) {
    for (file, by) in files.iter().zip(by) {
        std::fs::copy(by, file).unwrap();
    }
}

async fn certificate_line(cluster: &Cluster) -> Value {
    let check = cluster.workers()[0].run_command(&["check", "--json"]).await;
    let findings: Value = serde_json::from_slice(&check.stdout).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    findings.find(|finding| finding["what"] == "certificate").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_on_sighup_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let files = authority.sign("127.0.0.1");
    let first = own(&files[0]);
    // The next certificate for the same name takes the place of these files, as that of a renewal does.
    let kept = ["kept.pem", "kept.key"].map(|name| authority.file(name));
    replace(&kept, &files);
    let cluster = start(with_certificate(&kept), &authority).await;
    let worker = &cluster.workers()[0];
    let way = Way::encrypted(worker, &authority);
    assert_eq!(shown(&way).await, first);
    assert!(worker.output().contains("the certificate holds"), "{}", worker.output());
    let mut earlier = way.open().await.unwrap();

    let line = certificate_line(&cluster).await;
    assert_eq!(line["verdict"], "ok", "{line}");
    assert!(line["text"].as_str().unwrap().contains("for 127.0.0.1, until 4096-"), "{line}");

    let [next_cert, next_key] = authority.sign("127.0.0.1");
    std::fs::copy(&next_cert, &kept[0]).unwrap();
    worker.reload();
    let said = "the configuration was not reloaded";
    until(&cluster, "half a renewal is refused", async || worker.output().contains(said)).await;
    let output = worker.output();
    assert!(output.contains("ZHONGKONG__HTTP__TLS_KEY: http.tls_key: the key in "), "{output}");
    assert!(output.contains("does not belong to the first certificate in "), "{output}");
    assert_eq!(shown(&way).await, first);

    std::fs::copy(&next_key, &kept[1]).unwrap();
    worker.reload();
    let second = own(&next_cert);
    until(&cluster, "the renewed one is shown", async || shown(&way).await == second).await;
    earlier.write_all(HEALTH).await.unwrap();
    let answer = rest(&mut earlier).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "who was there before goes on: {answer}");

    replace(&kept, &authority.sign_expired("127.0.0.1"));
    let line = certificate_line(&cluster).await;
    assert_eq!(line["verdict"], "wrong", "{line}");
    assert!(line["text"].as_str().unwrap().contains("expired at 2020-01-01T00:00:00Z"), "{line}");
    worker.reload();
    until(&cluster, "the end of it is told", async || {
        worker.output().contains("the certificate has expired, and callers refuse it")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_is_spoken_within_tls_1_2_and_1_3_and_nothing_else_is() {
    let authority = Authority::new();
    let cluster = with_certificate(&authority.sign("127.0.0.1"));
    let cluster = start(cluster, &authority).await;
    let worker = &cluster.workers()[0];
    for version in VERSIONS {
        for (protocols, expected) in [
            (&[][..], Some("")),
            (&["http/1.1"], Some("http/1.1")),
            (&["h2", "http/1.1"], Some("http/1.1")),
            (&["h2"], None),
        ] {
            let way = Way::offering(worker, &authority, protocols, &[version]);
            let spoken = way.open_encrypted().await.ok().map(|connection| {
                let spoken = connection.get_ref().1.alpn_protocol().unwrap_or_default();
                String::from_utf8(spoken.to_vec()).unwrap()
            });
            assert_eq!(spoken.as_deref(), expected, "{protocols:?} in {version:?}");
            if expected.is_some() {
                let answer = way.ask(HEALTH).await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                // It would hold for all ports of this host.
                assert!(!answer.contains("strict-transport-security"), "{answer}");
            }
        }
    }
    // Another authority's callers do not come that far.
    let stranger = Way::encrypted(worker, &Authority::new());
    assert!(stranger.open().await.is_err());

    let plain = Way::plain(worker).ask(HEALTH).await;
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("ask by https://"), "{plain}");
    let secret = b"POST /v1/credentials/wx-test/refresh HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let calls = cluster.simulator.calls(zhongkong_testkit::APP_ID);
    assert!(Way::plain(worker).ask(secret).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(cluster.simulator.calls(zhongkong_testkit::APP_ID), calls);

    for garbage in
        [&b"\x16\x03\x01\x00\x02\x01\x00"[..], b"\0\0\0\0\0\0\0\0\0", b"\x80\x2e\x01\x00\x02"]
    {
        let mut stream =
            TcpStream::connect(worker.http_url().replace("http://", "")).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
        assert!(!answer.starts_with(b"HTTP"), "{garbage:?}: {answer:?}");
    }
    assert!(Way::encrypted(worker, &authority).ask(READY).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_over_tls_and_whoever_signed_the_certificate() {
    let authority = Authority::new();
    let cluster = start(with_certificate(&authority.sign("127.0.0.1")), &authority).await;
    let healthy = cluster.workers()[0].run_command(&["health"]).await;
    assert_eq!(
        (healthy.status.code(), &healthy.stdout[..]),
        (Some(0), &b"ready\n"[..]),
        "{healthy:?}"
    );
}
