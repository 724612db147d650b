//! Types of interfaces that belong to switches in user space, and what to use here instead.

/// What takes the place of an interface type that only a switch in user space can have, as a
/// sentence for people; `None` for other types.
pub fn user_space(kind: &str) -> Option<String> {
    let instead = match kind {
        "dpdkvhostuser" | "dpdkvhostuserclient" => {
            "shares memory between a guest and a switch in user space, and this switch forwards in \
             the kernel: give the guest a tap with vhost-net instead (QEMU: -netdev tap,vhost=on; \
             libvirt: <interface type='bridge'> with <virtualport type='openvswitch'/> and \
             <driver name='vhost'/>; OpenStack: a bridge with datapath_type=system) and leave the \
             type empty"
        }
        "dpdk" | "dpdkr" => {
            "takes a device away from the kernel, in which this switch forwards: leave the NIC or \
             representor with its kernel driver, name the interface as that network device, and \
             leave the type empty"
        }
        "afxdp" | "afxdp-nonpmd" => {
            "hands frames to a switch in user space, and this switch forwards in the kernel: leave \
             the type empty, and set other_config:aorta-hook=xdp-native if frames are to be \
             switched before the network stack sees them"
        }
        _ => return None,
    };
    Some(format!("interface type \"{kind}\" {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_what_to_use_instead() {
        for (kind, instead) in [
            ("dpdkvhostuser", "tap with vhost-net"),
            ("dpdkvhostuserclient", "tap with vhost-net"),
            ("dpdk", "kernel driver"),
            ("dpdkr", "kernel driver"),
            ("afxdp", "aorta-hook=xdp-native"),
            ("afxdp-nonpmd", "aorta-hook=xdp-native"),
        ] {
            let text = user_space(kind).unwrap();
            assert!(text.contains(kind) && text.contains(instead), "{text}");
            assert!(text.contains("leave the type empty"), "{text}");
        }
        assert_eq!(user_space("vxlan"), None);
    }
}
