//! How much the verifier has to look at before it takes a pipeline. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod lab;
mod rig;

use bare::Bare;

/// Instructions that the verifier looks at for each one of the program, at most: it goes through
/// most code once for each state that the program can be in there.
const PASSES: usize = 12;

/// The most that the verifier had to look at for any program that is open.
fn looked_at() -> usize {
    let infos = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let counts = infos.filter_map(|entry| {
        let info = std::fs::read_to_string(entry.ok()?.path()).ok()?;
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("verified_insns:"))?;
        count.trim().parse().ok()
    });
    counts.max().unwrap()
}

fn check(what: &str, lines: &str) {
    let mut bare = Bare::new(&[], 1024);
    let program = bare.install(&rig::tables(lines));
    program.unwrap_or_else(|e| panic!("{what}: {e}"));
    let root = bare.pipeline.as_ref().unwrap().program().unwrap();
    let _open = bare.load(&root);
    let looked_at = looked_at();
    println!("{what}: {} instructions, {looked_at} looked at", bare.insns);
    assert!(
        looked_at <= PASSES * bare.insns,
        "{what}: {looked_at} of {}",
        bare.insns
    );
}

/// One after the other: what is looked at is told of all programs of this process.
#[test]
fn the_verifier_is_done_quickly() {
    changed_headers();
    choices();
}

fn changed_headers() {
    let all = [
        ("nothing", "table=0,ip actions=output:1,output:2,output:3"),
        (
            "ethernet",
            "table=0,ip actions=mod_dl_src:02:00:00:00:00:01,output:1,mod_dl_dst:02:00:00:00:00:01,output:2,output:3",
        ),
        (
            "ttl",
            "table=0,ip actions=dec_ttl,output:1,dec_ttl,output:2,output:3",
        ),
        (
            "ipv4",
            "table=0,ip actions=mod_nw_src:1.2.3.4,output:1,mod_nw_dst:1.2.3.4,output:2,mod_nw_tos:4,output:3",
        ),
        (
            "ipv6",
            "table=0,ipv6 actions=set_field:fe80::1->ipv6_src,output:1,set_field:fe80::2->ipv6_dst,output:2,set_field:7->ipv6_label,output:3",
        ),
        (
            "ports",
            "table=0,tcp actions=mod_tp_src:1,output:1,mod_tp_dst:2,output:2,output:3",
        ),
        (
            "udp",
            "table=0,udp actions=set_field:1->udp_src,output:1,set_field:1->udp_dst,output:2,output:3",
        ),
        (
            "sctp",
            "table=0,sctp actions=set_field:1->sctp_src,output:1,set_field:1->sctp_dst,output:2,output:3",
        ),
        (
            "arp",
            "table=0,arp actions=set_field:1.2.3.4->arp_spa,output:1,set_field:2->arp_op,output:2,output:3",
        ),
        (
            "nd",
            "table=0,icmp6,icmp_type=135,icmp_code=0 actions=set_field:fe80::1->nd_target,output:1,set_field:02:00:00:00:00:01->nd_sll,output:2,output:3",
        ),
        (
            "vlan",
            "table=0 actions=push_vlan:0x8100,output:1,push_vlan:0x8100,output:2,strip_vlan,output:3",
        ),
        (
            "mpls",
            "table=0,mpls actions=set_field:7->mpls_label,output:1,dec_mpls_ttl,output:2,output:3",
        ),
    ];
    for (what, lines) in all {
        check(what, lines);
    }
    let together: Vec<&str> = all.iter().map(|(_, lines)| *lines).collect();
    let numbered = together.iter().enumerate();
    let numbered =
        numbered.map(|(n, line)| line.replace("table=0", &format!("table=0,priority={n}")));
    check("all", &numbered.collect::<Vec<String>>().join("\n"));
}

fn choices() {
    check(
        "groups",
        "group_id=1,type=all,bucket=dec_ttl,output:2,bucket=set_field:10.7.7.7->ip_dst,resubmit(,1)
         group_id=2,type=select,bucket=watch_port:2,output:2,bucket=watch_port:9,output:3,bucket=watch_port:4,output:4
         group_id=3,type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,output:3
         table=0,priority=3,tcp actions=group:1,group:2,group:3
         table=0,priority=2,ip actions=clone(group:1),group:2
         table=0,priority=1 actions=multipath(symmetric_l4,50,hrw,16,0,NXM_NX_REG0[0..7]),bundle(eth_src,0,hrw,ofport,members:9,3,4,5,6,7)
         table=1 actions=group:2,group:3",
    );
    check(
        "meters and copies",
        "meter=1,kbps,burst,band=type=drop,rate=1,burst_size=1
         meter=2,pktps,band=type=dscp_remark,prec_level=1,rate=5,band=type=drop,rate=9
         table=0,priority=3,tcp actions=meter:1,controller,resubmit(,1)
         table=0,priority=2,ip actions=meter:2,dec_ttl,controller(max_len=20),resubmit(,1)
         table=1 actions=learn(table=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]),output:2",
    );
}
