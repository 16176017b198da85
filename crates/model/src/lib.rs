//! The refresh protocol, model-checked on the transitions that workers run.
