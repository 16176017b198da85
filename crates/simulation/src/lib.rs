//! Hours of a cluster's life in moments, from a seed.
