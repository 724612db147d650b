//! Placeholder crate root, replaced by its first module.
