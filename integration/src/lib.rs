//! Tests of the whole switch, and the laboratory they run in.
//!
//! [`lab`] makes network namespaces, virtual machines and switch daemons and takes them away
//! again. The tests themselves are in `tests/`; a file's prefix says its tier (`protocol_`,
//! `e2e_`, `vm_`, see CONTRIBUTING.md).
#![forbid(unsafe_code)]

pub mod lab;
