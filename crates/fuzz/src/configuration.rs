//! A file and the environment: lines after `--environment--` are variables.

use std::fs;
use std::sync::OnceLock;

use tempfile::TempDir;
use zhongkong::config::{Config, Environment};

use crate::SECRET;

/// Begins the variables.
const ENVIRONMENT: &str = "\n--environment--\n";
/// So many problems or warnings are told, and one more line that counts the rest.
const TOLD_MAX: usize = 51;

/// Loads `input`.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return load(input, "") };
    let (toml, variables) = text.split_once(ENVIRONMENT).unwrap_or((text, ""));
    load(toml.as_bytes(), variables);
}

fn load(toml: &[u8], variables: &str) {
    // The fuzzer's process has one thread, and the tests play one input after the other.
    static DIRECTORY: OnceLock<Option<TempDir>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().ok());
    let Some(directory) = directory else { return };
    let path = directory.path().join("zhongkong.toml");
    if fs::write(&path, toml).is_err() {
        return;
    }
    let secrets = ["WX_SECRET", "REDIS_PASSWORD", "SHOP_TOKEN"].map(|name| (name, SECRET));
    let environment: Environment =
        variables.lines().filter_map(|line| line.split_once('=')).chain(secrets).collect();
    let (told, shown) = match Config::load(Some(&path), &environment) {
        Ok(loaded) => (loaded.warnings.clone(), format!("{loaded:?}")),
        Err(error) => (error.problems().to_vec(), format!("{error} {error:?}")),
    };
    assert!(told.len() <= TOLD_MAX, "{} problems", told.len());
    // A name that is not known is repeated, so each may be as long as what was read.
    let read = toml.len() + variables.len();
    let long = told.iter().find(|line| line.len() > 2_000 + 8 * read);
    assert!(long.is_none(), "{} bytes of {read}: {long:?}", long.map_or(0, String::len));
    let planted = contains(toml) || contains(variables.as_bytes());
    assert!(planted || !shown.contains(SECRET), "a secret in {shown}");
}

fn contains(text: &[u8]) -> bool {
    text.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}
