//! Something that lasts for a while, and is said when it begins and when it ends.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it lasts, as far as was said.
#[derive(Debug, Default)]
pub(crate) struct Episode(AtomicBool);

impl Episode {
    /// Whether it is news that this lasts now, or lasts no longer.
    pub(crate) fn is_news(&self, lasts: bool) -> bool {
        self.0.swap(lasts, Ordering::AcqRel) != lasts
    }
}
