//! Behaviour across modules, one binary.
