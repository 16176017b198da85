//! What the tests of the configuration share.

use std::fs;
use std::path::PathBuf;

use super::{Config, ConfigError, Environment, HttpTls, Loaded};

/// The least that a file must say.
pub(crate) const ACCOUNT: &str = "
[[credentials]]
provider = \"wechat\"
app_id = \"wx0123456789abcdef\"
secret = { env = \"WX_SECRET\" }
";

/// Loads `toml` from a file of its own, under `variables` and a `WX_SECRET`.
pub(super) fn load_with<const N: usize>(
    toml: &str,
    variables: [(&str, &str); N],
) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zhongkong.toml");
    fs::write(&path, toml).unwrap();
    let environment: Environment = variables.into_iter().chain([("WX_SECRET", "s3cret")]).collect();
    Config::load(Some(&path), &environment)
}

#[track_caller]
pub(crate) fn loaded(toml: &str) -> Loaded {
    load_with(toml, []).unwrap_or_else(|error| panic!("refused:\n{error}"))
}

/// `toml` is refused, and the message contains each of `parts`.
#[track_caller]
pub(super) fn refused(toml: &str, parts: &[&str]) {
    refused_with(toml, [], parts);
}

#[track_caller]
pub(super) fn refused_with<const N: usize>(
    toml: &str,
    variables: [(&str, &str); N],
    parts: &[&str],
) {
    let error = load_with(toml, variables).expect_err("loads").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
    assert!(!error.contains("s3cret"), "a secret is in:\n{error}");
}

/// `toml` loads with one warning alone, which contains each of `parts`.
#[track_caller]
pub(super) fn warned(toml: &str, parts: &[&str]) {
    let warnings = loaded(toml).warnings;
    let [warning] = &warnings[..] else { panic!("not one warning: {warnings:#?}") };
    for part in parts {
        assert!(warning.contains(part), "{part:?} is not in:\n{warning}");
    }
}

/// What a configuration with this certificate and key makes of them.
pub(crate) fn encryption([cert, key]: &[PathBuf; 2]) -> HttpTls {
    let toml = format!("[http]\ntls_cert = {cert:?}\ntls_key = {key:?}\n{ACCOUNT}");
    loaded(&toml).config.http.tls.unwrap()
}
