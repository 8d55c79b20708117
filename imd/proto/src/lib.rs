//! See the crate's description in docs/architecture.md.
