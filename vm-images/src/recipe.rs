//! What goes into an image, as values.

use crate::cache::sha256_texts;

/// Raised when the builder itself puts the same recipe together in another way.
const BUILDER_VERSION: &str = "1";

/// Everything that decides an image's content, besides the packages' versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Short name, for people and for the cache's directory.
    pub name: &'static str,
    /// Kernel modules loaded at boot, in this order, each after its dependencies.
    pub modules: &'static [&'static str],
    /// Modules that are loaded too if the kernel has them.
    pub optional_modules: &'static [&'static str],
    /// Packages whose programs are copied, each with the paths it may be found at.
    pub programs: &'static [Program],
    /// The first process.
    pub init: &'static str,
    /// The control agent.
    pub agent: &'static str,
}

/// A program taken out of a package, with the libraries it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// The package.
    pub package: &'static str,
    /// Name of the program in the package's `bin` or `sbin` directories.
    pub name: &'static str,
    /// Libraries that it opens by name while it runs, so that it isn't linked to them.
    pub opens: &'static [&'static str],
}

impl Recipe {
    /// The guest that tests and the demonstration boot: busybox, iperf3, virtio devices, VLANs.
    pub const GUEST: Recipe = Recipe {
        name: "guest",
        modules: &[
            "virtio_pci",
            "virtio_console",
            "virtio_net",
            "af_packet",
            "8021q",
        ],
        optional_modules: &["virtio_rng"],
        programs: &[
            Program {
                package: "busybox-static",
                name: "busybox",
                opens: &[],
            },
            // glibc's pthread_cancel opens the unwinder.
            Program {
                package: "iperf3",
                name: "iperf3",
                opens: &["libgcc_s.so.1"],
            },
        ],
        init: include_str!("../guest/init.sh"),
        agent: include_str!("../guest/agent.sh"),
    };

    /// Directory name in the cache: the recipe's name and the first 16 digits of its hash.
    pub fn key(&self) -> String {
        let programs = self.programs.iter().flat_map(|p| {
            [p.package, p.name]
                .into_iter()
                .chain(p.opens.iter().copied())
        });
        let texts = [BUILDER_VERSION, self.name, self.init, self.agent]
            .into_iter()
            .chain(self.modules.iter().chain(self.optional_modules).copied())
            .chain(programs);
        format!("{}-{}", self.name, &sha256_texts(texts)[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_follows_the_content() {
        let guest = Recipe::GUEST;
        assert_eq!(guest.key(), Recipe::GUEST.key());
        assert!(guest.key().starts_with("guest-"));
        assert_ne!(
            guest.key(),
            Recipe {
                modules: &["8021q"],
                ..guest.clone()
            }
            .key()
        );
        assert_ne!(
            guest.key(),
            Recipe {
                init: "exit",
                ..guest
            }
            .key()
        );
    }
}
