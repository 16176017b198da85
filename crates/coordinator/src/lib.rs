//! The loops: keepers for all units, and what they learn from each other.
