//! Programs as text, with their size: a change shows as a difference here. `INSTA_UPDATE=always`
//! blesses what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_compiler::pipeline::leave::compile_leave;
use aorta_compiler::{
    EntryFacts, FlowEntryFacts, Ingress, Origin, Refuses, VidCheck, compile_entry, compile_finish,
    compile_flood, compile_flow_entry,
};
use aorta_ebpf::Program;
use aorta_flow::OfPort;
use aorta_flow::guard::StormLimits;
use aorta_packet::Vid;

fn vid(vid: u16) -> Vid {
    Vid::new(vid).unwrap()
}

fn entry(ingress: Ingress, origin: Origin) -> Program {
    let facts = EntryFacts {
        port_slot: 3,
        bridge_slot: 1,
        ingress,
        forward_bpdu: false,
        mac_aging_s: 360,
        hz: 250,
        origin,
        refuses: Refuses::None,
        guard: None,
        protected: false,
        storm: StormLimits::default(),
    };
    compile_entry(&facts).unwrap()
}

fn bless(name: &str, program: &Program, budget: usize) {
    let len = program.len();
    assert!(
        len <= budget,
        "{name} has {len} instructions, its budget is {budget}"
    );
    insta::assert_snapshot!(name, format!("{len} instructions\n{program}"));
}

#[test]
fn access_port() {
    bless(
        "access",
        &entry(Ingress::Access(vid(10)), Origin::Device),
        380,
    );
}

#[test]
fn trunk_port_with_few_vlans() {
    let few = VidCheck::Few(vec![vid(10), vid(20)]);
    bless(
        "trunk_few",
        &entry(Ingress::Trunk(few), Origin::Device),
        380,
    );
}

#[test]
fn native_port_with_many_vlans() {
    let many = VidCheck::Bitmap { untagged: false };
    bless(
        "native_many",
        &entry(Ingress::Native(vid(7), many), Origin::Device),
        400,
    );
}

#[test]
fn patch_port() {
    bless(
        "patch",
        &entry(Ingress::Trunk(VidCheck::All), Origin::Patch),
        390,
    );
}

#[test]
fn normal_from_a_pipeline() {
    bless(
        "normal",
        &entry(Ingress::Trunk(VidCheck::All), Origin::Pipeline),
        380,
    );
}

#[test]
fn ports_of_a_bridge_with_flows() {
    for (name, origin, budget) in [
        ("flow_device", Origin::Device, 40),
        ("flow_patch", Origin::Patch, 135),
    ] {
        let facts = FlowEntryFacts {
            port_slot: 3,
            ofport: OfPort(7),
            bridge_slot: 1,
            origin,
            refuses: Refuses::None,
            guard: None,
        };
        bless(name, &compile_flow_entry(&facts).unwrap(), budget);
    }
}

#[test]
fn shared_programs() {
    bless("flood", &compile_flood().unwrap(), 220);
    bless("finish", &compile_finish(false).unwrap(), 160);
    assert!(compile_leave().unwrap().len() < 1200);
    assert!(compile_finish(true).unwrap().len() < 1300);
}
