//! What goes into an image, as values.

use crate::cache::sha256_texts;

/// Raised when the builder itself puts the same recipe together in another way.
const BUILDER_VERSION: &str = "2";

/// Series of kernels that [`Recipe::lab`] has images for.
pub const KERNEL_SERIES: [&str; 2] = ["6.1", "6.12"];

/// Which kernel an image boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// The one that the host's distribution installs.
    Distribution,
    /// Debian's newest of a series, `6.12`, with netdevsim built out of its source.
    Series(&'static str),
}

impl Kernel {
    fn text(self) -> &'static str {
        match self {
            Kernel::Distribution => "distribution",
            Kernel::Series(series) => series,
        }
    }
}

/// Everything that decides an image's content, besides the packages' versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Short name, for people and for the cache's directory.
    pub name: &'static str,
    /// Where the kernel comes from.
    pub kernel: Kernel,
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
    /// The guest that tests and the demonstration boot: busybox, iperf3, ethtool, virtio devices, VLANs.
    pub const GUEST: Recipe = Recipe {
        name: "guest",
        kernel: Kernel::Distribution,
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
            program("ethtool", "ethtool"),
        ],
        init: include_str!("../guest/init.sh"),
        agent: include_str!("../guest/agent.sh"),
    };

    /// The machine that a switch itself runs in, on the kernel of a series of
    /// [`KERNEL_SERIES`]: devices of all kinds, traffic control, and the tools to work with them.
    pub fn lab(series: &str) -> Option<Recipe> {
        let series = KERNEL_SERIES.into_iter().find(|known| *known == series)?;
        Some(Recipe {
            name: if series == "6.1" {
                "lab-6.1"
            } else {
                "lab-6.12"
            },
            kernel: Kernel::Series(series),
            modules: &LAB_MODULES,
            optional_modules: &["virtio_rng"],
            programs: &LAB_PROGRAMS,
            ..Recipe::GUEST
        })
    }

    /// Directory name in the cache: the recipe's name and the first 16 digits of its hash.
    pub fn key(&self) -> String {
        let programs = self.programs.iter().flat_map(|p| {
            [p.package, p.name]
                .into_iter()
                .chain(p.opens.iter().copied())
        });
        let kernel = self.kernel.text();
        let texts = [BUILDER_VERSION, self.name, kernel, self.init, self.agent]
            .into_iter()
            .chain(self.modules.iter().chain(self.optional_modules).copied())
            .chain(programs);
        format!("{}-{}", self.name, &sha256_texts(texts)[..16])
    }
}

/// What the machine of [`Recipe::lab`] loads.
const LAB_MODULES: [&str; 40] = [
    // libcrc32c asks for it by name, which no dependency tells.
    "crc32c_generic",
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "virtio_blk",
    "af_packet",
    "8021q",
    "tun",
    "veth",
    "dummy",
    "bridge",
    "bonding",
    "vxlan",
    "geneve",
    "openvswitch",
    "vhost_net",
    "netdevsim",
    "sch_ingress",
    "sch_htb",
    "sch_tbf",
    "sch_fq_codel",
    "sch_sfq",
    "sch_hfsc",
    "sch_codel",
    "sch_netem",
    "cls_bpf",
    "cls_flower",
    "cls_matchall",
    "cls_u32",
    "act_bpf",
    "act_csum",
    "act_ct",
    "act_gact",
    "act_mirred",
    "act_pedit",
    "act_police",
    "act_skbedit",
    "act_tunnel_key",
    "act_vlan",
    "nf_conntrack",
];

/// Programs of the machine of [`Recipe::lab`].
const LAB_PROGRAMS: [Program; 7] = [
    Recipe::GUEST.programs[0],
    Recipe::GUEST.programs[1],
    Recipe::GUEST.programs[2],
    program("iproute2", "ip"),
    program("iproute2", "tc"),
    program("tcpdump", "tcpdump"),
    program("iputils-ping", "ping"),
];

const fn program(package: &'static str, name: &'static str) -> Program {
    Program {
        package,
        name,
        opens: &[],
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
