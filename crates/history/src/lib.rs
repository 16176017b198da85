//! What happened, and whether it was allowed to: the checker of histories.
