//! Builds the small virtual machines that tests and the demonstration boot: the distribution's
//! kernel, or one of a named series, and an initramfs of busybox, a few programs and a control
//! agent.
//!
//! Everything comes out of the distribution's packages, downloaded and unpacked but never
//! installed; what a kernel lacks is built out of its own source package. An image is built once and kept in the cache under its recipe's hash; a second
//! call needs no network.
#![forbid(unsafe_code)]

mod apt;
mod build;
mod cache;
pub mod cpio;
mod driver;
mod elf;
mod error;
mod host;
mod image;
mod modules;
mod recipe;
mod suites;

pub use apt::unpack_packages;
pub use cache::cache_root;
pub use error::ImageError;
pub use image::{Image, Manifest, ensure};
pub use recipe::{KERNEL_SERIES, Kernel, Program, Recipe};
