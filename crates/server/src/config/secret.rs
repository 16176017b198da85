//! Where a secret comes from, and reading it from there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::keys::SECRET;
use super::section::Section;
use super::value::Raw;

/// The largest secret file, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// A file, read again whenever it changes.
    File(PathBuf),
    /// An environment variable, as it was when the configuration was loaded.
    Environment {
        /// The variable.
        name: String,
        /// What it held.
        value: SecretString,
    },
    /// The configuration file itself.
    Plain(SecretString),
}

/// A secret that cannot be had; never with its text.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it but white space.
    #[error("the secret is empty")]
    Empty,
    /// It spans lines or holds control characters: probably the wrong file.
    #[error("the secret holds a line break or another control character")]
    NotOneLine,
}

impl SecretSource {
    /// The secret as it is now, without the white space around it.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::File(path) => {
                let text = read_file(path)
                    .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                trimmed(&text)
            }
            Self::Environment { value, .. } | Self::Plain(value) => trimmed(value),
        }
    }
}

/// The secret `key` of `section` and its source, read once so that a missing one is found at start.
pub(super) fn secret(section: &Section<'_>, key: &str) -> Option<(SecretSource, SecretString)> {
    let (source, stated_at) = source(section, key)?;
    match source.read() {
        Ok(secret) => Some((source, secret)),
        Err(error) => {
            let what = match (&error, &source) {
                (SecretError::Unreadable { source, .. }, _) => {
                    format!("{error}: {source}; create it, readable by this user, or name another")
                }
                (_, SecretSource::File(path)) => {
                    format!("{error}: fill the file {}", path.display())
                }
                (_, SecretSource::Environment { name, .. }) => {
                    format!("{error}: set the environment variable {name}")
                }
                (_, SecretSource::Plain(_)) => {
                    format!("{error}: use {{ file = … }} or {{ env = … }}")
                }
            };
            section.problem(&stated_at, &what);
            None
        }
    }
}

/// The source that `key` names, and the key that problems with it belong to.
fn source(section: &Section<'_>, key: &str) -> Option<(SecretSource, String)> {
    let overridden = |key: &str| section.environment.override_of(&section.key(key));
    if let Some((name, value)) = overridden(key) {
        return Some((SecretSource::Environment { name, value: value.into() }, key.to_owned()));
    }
    let [file, env] = ["file", "env"].map(|inner| format!("{key}.{inner}"));
    for inner in [file, env] {
        if overridden(&inner).is_some() {
            return sourced(section, &inner).map(|source| (source, inner));
        }
    }
    let Some(table) = section.table_at(key, &SECRET) else {
        let plain =
            section.read(key, |raw| raw.text().map_err(|what| format!("{what}; {WANTED}")))?;
        section.warn(key, &format!("a secret in plain text; {WANTED}"));
        return Some((SecretSource::Plain(plain.into()), key.to_owned()));
    };
    match (table.has("file"), table.has("env")) {
        (true, false) => sourced(&table, "file"),
        (false, true) => sourced(&table, "env"),
        _ => {
            section.problem(key, WANTED);
            None
        }
    }
    .map(|source| (source, key.to_owned()))
}

const WANTED: &str = "name its source: { file = \"/path\" } or { env = \"NAME\" }";

fn sourced(section: &Section<'_>, key: &str) -> Option<SecretSource> {
    let text = section.read(key, Raw::text)?;
    if key.ends_with("file") {
        return Some(SecretSource::File(section.directory_of(key).join(text)));
    }
    if !text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        || text.starts_with(|c: char| c.is_ascii_digit())
    {
        // Perhaps the secret itself, written in the wrong place: not to be repeated.
        section.problem(key, "must be the name of an environment variable");
        return None;
    }
    let Some(value) = section.environment.get(text) else {
        let what = format!(
            "the environment variable {text} is not set, empty or not UTF-8; set it, or use {{ file = … }}"
        );
        section.problem(key, &what);
        return None;
    };
    Some(SecretSource::Environment { name: text.to_owned(), value: value.into() })
}

fn read_file(path: &Path) -> io::Result<SecretString> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > FILE_MAX) {
        return Err(io::Error::other("larger than 64 KiB"));
    }
    Ok(text.into())
}

fn trimmed(text: &SecretString) -> Result<SecretString, SecretError> {
    let text = text.expose_secret().trim();
    if text.is_empty() {
        Err(SecretError::Empty)
    } else if text.chars().any(char::is_control) {
        Err(SecretError::NotOneLine)
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;
    use crate::config::testing::{ACCOUNT, refused};

    fn account(secret: &str) -> String {
        ACCOUNT.replace("{ env = \"WX_SECRET\" }", secret)
    }

    #[test]
    fn a_file_is_read_from_beside_the_configuration_and_again_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("zhongkong.toml"), account("{ file = \"wx\" }")).unwrap();
        fs::write(path("wx"), "s3cret\n").unwrap();
        let loaded =
            Config::load(Some(&path("zhongkong.toml")), &[("", ""); 0].into_iter().collect());
        let secret = &loaded.unwrap().config.credentials[0].secret;
        assert!(matches!(secret, SecretSource::File(file) if *file == path("wx")));
        fs::write(path("wx"), "another").unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), "another");
        fs::remove_file(path("wx")).unwrap();
        assert!(matches!(secret.read(), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn a_secret_that_cannot_be_had_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            format!("{{ file = {path:?} }}")
        };
        for (secret, part) in [
            ("{ file = \"/no/such\" }".to_owned(), "the secret file /no/such cannot be read: "),
            (
                "{ file = \"/no/such\" }".to_owned(),
                "create it, readable by this user, or name another",
            ),
            (file("empty", b" \n"), "the secret is empty: fill the file /"),
            (file("lines", b"s3cret\ns3cret"), "a line break or another control character"),
            (file("binary", b"s3cret\xff"), "cannot be read: stream did not contain valid UTF-8"),
            (file("large", "x".repeat(70_000).as_bytes()), "larger than 64 KiB"),
            ("{ env = \"NOT_SET\" }".to_owned(), "the environment variable NOT_SET is not set"),
            ("{ env = \"7s3cret\" }".to_owned(), "must be the name of an environment variable"),
            ("\"\"".to_owned(), "the secret is empty: use { file = "),
            ("5353".to_owned(), "must be a string, found integer; name its source: { file"),
            ("[\"s3cret\"]".to_owned(), "must be a string, found array"),
            ("{}".to_owned(), "name its source: { file"),
            ("{ file = \"a\", env = \"B\" }".to_owned(), "name its source: { file"),
            ("{ flie = \"a\" }".to_owned(), "credentials[0].secret.flie: unknown key `flie`"),
            ("{ file = 5353 }".to_owned(), "credentials[0].secret.file: must be a string"),
        ] {
            refused(&account(&secret), &["zhongkong.toml:5: credentials[0].secret", part]);
        }
    }
}
