//! keeper placeholder.
