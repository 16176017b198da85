//! Whole clusters on real parts.
