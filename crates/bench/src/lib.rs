//! What a refresh costs, measured beside something else.
