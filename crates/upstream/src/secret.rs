//! Where an account's secret comes from, and how it is read again.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// The longest file that can be a secret: anything longer is the wrong file.
const FILE_MAX: u64 = 64 * 1024;

/// Longer than any local file takes, short enough for a refresh.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// A secret, as it was read last.
pub struct Secret {
    file: Option<PathBuf>,
    /// The file is being read, however long that takes.
    reading: Arc<AtomicBool>,
    current: RwLock<SecretString>,
}

/// There is no secret where one should be.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The value, or the file, holds nothing but white space.
    #[error("the secret is empty")]
    Empty,
    /// The file is longer than any secret.
    #[error("the secret's file is longer than {FILE_MAX} bytes")]
    TooLong,
    /// It is no line of UTF-8 text.
    #[error("the secret is no line of text")]
    NoText,
    /// The file cannot be read.
    #[error("the secret's file {path:?} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Secret {
    /// A secret that was given as a value and stays what it is: a plain string, or what an environment variable held.
    pub fn fixed(value: &str) -> Result<Self, SecretError> {
        Ok(Self { file: None, reading: Arc::default(), current: RwLock::new(trimmed(value)?) })
    }

    /// The secret in a file, without the line end that editors add.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let path = path.into();
        let current = read(&path)?;
        Ok(Self { file: Some(path), reading: Arc::default(), current: RwLock::new(current) })
    }

    /// Reads the file again; true if it holds another secret now. A file that holds none leaves the old one in force.
    pub(crate) async fn reread(&self) -> bool {
        let Some(path) = self.file.clone() else { return false };
        // A file on a dead network mount blocks: it must not block the refresh with it, nor one more thread each time.
        if self.reading.swap(true, Ordering::AcqRel) {
            return false;
        }
        let reading = Arc::clone(&self.reading);
        let task = tokio::task::spawn_blocking(move || {
            let read = read(&path);
            reading.store(false, Ordering::Release);
            read
        });
        match tokio::time::timeout(READ_TIMEOUT, task).await {
            Ok(Ok(Ok(new))) => self.replace(new),
            Ok(Ok(Err(error))) => {
                let source = std::error::Error::source(&error).map(tracing::field::display);
                tracing::warn!(%error, source, file = ?self.file, "the old secret stays in force");
                false
            }
            Ok(Err(_)) => false, // The runtime ends.
            Err(_) => {
                tracing::warn!(file = ?self.file, "the secret's file cannot be read in time; the old secret stays in force");
                false
            }
        }
    }

    /// The secret that is in force now.
    pub(crate) fn current(&self) -> SecretString {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, new: SecretString) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.expose_secret() != new.expose_secret();
        *current = new;
        changed
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(SecretError::TooLong);
    }
    trimmed(&String::from_utf8(bytes).map_err(|_| SecretError::NoText)?)
}

/// The secret without the white space around it, as the configuration takes it.
fn trimmed(text: &str) -> Result<SecretString, SecretError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SecretError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(SecretError::NoText);
    }
    Ok(text.to_owned().into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_white_space_after_a_secret_is_no_part_of_it() {
        let secret = Secret::fixed("s3cret \r\n").unwrap();
        assert_eq!(secret.current().expose_secret(), "s3cret");
        assert!(matches!(Secret::fixed(" \n"), Err(SecretError::Empty)));
    }

    #[test]
    fn a_secret_without_a_readable_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Unreadable { .. })));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::NoText)));
        fs::write(&path, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert!(matches!(Secret::from_file(&path), Err(SecretError::TooLong)));
        fs::write(&path, vec![b'x'; 64 * 1024]).unwrap();
        assert!(Secret::from_file(&path).is_ok());
    }

    #[tokio::test]
    async fn a_file_is_read_again_and_an_unusable_one_leaves_the_old_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "old\n").unwrap();
        let secret = Secret::from_file(&path).unwrap();
        assert!(!secret.reread().await, "nothing changed");
        fs::write(&path, "new\n").unwrap();
        assert!(secret.reread().await);
        fs::write(&path, "\n").unwrap();
        assert!(!secret.reread().await, "empty");
        fs::remove_file(&path).unwrap();
        assert!(!secret.reread().await, "gone");
        assert_eq!(secret.current().expose_secret(), "new");
    }

    #[tokio::test]
    async fn a_fixed_secret_stays_what_it_is() {
        assert!(!Secret::fixed("s3cret").unwrap().reread().await);
    }

    #[test]
    fn debug_output_has_no_secret() {
        let secret = Secret::fixed("s3cret").unwrap();
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
