//! The counts in a file, where a health check or a person finds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

/// Counts that are older are of a reader that runs no more, or not well.
const FRESH: Duration = Duration::from_secs(10);

/// Where the running reader writes.
#[derive(Debug)]
pub(crate) struct Board {
    path: PathBuf,
}

impl Board {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Replaces what stood there, in one step.
    pub(crate) fn write(&self, lines: &str) -> anyhow::Result<()> {
        let next = self.path.with_extension("next");
        fs::write(&next, format!("{lines}\n"))
            .and_then(|()| fs::rename(&next, &self.path))
            .with_context(|| format!("the counts cannot be written to {}", self.path.display()))
    }
}

/// What a running reader wrote last.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let lines = fs::read_to_string(path);
    let lines = lines.with_context(|| format!("no reader runs that counts into {shown}"))?;
    // A time in the future is no age, and so not too old.
    let age = fs::metadata(path)?.modified()?.elapsed().unwrap_or_default();
    ensure!(
        age <= FRESH,
        "the reader that counts into {shown} has not done so for {} s",
        age.as_secs()
    );
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_was_written_last_is_read_until_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("counts");
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("no reader runs"), "{error}");
        let board = Board::new(path.clone());
        board.write("one").unwrap();
        board.write("two").unwrap();
        assert_eq!(read(&path).unwrap(), "two\n");
        let modified = SystemTime::UNIX_EPOCH;
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("has not done so for"), "{error}");
    }
}
