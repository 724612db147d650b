//! Frames that leave a pipeline and come back, with roots written by hand. Needs root.

use std::collections::BTreeMap;

use aorta_compiler::abi::{counter, jump};
use aorta_compiler::begin_handed;
use aorta_compiler::pipeline::layout::{place, state};
use aorta_compiler::pipeline::leave::{finish, leave};
use aorta_compiler::pipeline::maps::STATE;
use aorta_ebpf::{Assembler, Cond, Helper, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{Attachment, Bridge, IfIndex, OfPort, Port, Snapshot, table::Tables};

use crate::Datapath;
use lab::{Lab, Tap};

#[path = "../../tests/lab/mod.rs"]
mod lab;

use Reg::{R0, R1, R2, R6, R7, R8, R10};

const MTU: u16 = 1500;

fn port(tap: &Tap, number: u16) -> Port {
    with(tap.name.as_str(), number, tap.attachment(true, MTU.into()))
}

fn patch(name: &str, peer: &str, number: u16) -> Port {
    with(name, number, Attachment::Patch { peer: peer.into() })
}

fn with(name: &str, number: u16, attachment: Attachment) -> Port {
    Port::new(name.into(), OfPort(number), attachment)
}

fn bridge(name: &str, ports: Vec<Port>) -> Bridge {
    Bridge::new(name.into(), ports)
}

/// Loads a program written by hand: `code` starts with the context in R6 and the state in R7.
fn put(datapath: &mut Datapath, index: u32, code: impl FnOnce(&mut Assembler, Label)) {
    let mut a = Assembler::new("by_hand");
    let lost = a.label("lost");
    a.mov(R6, R1);
    a.store(Size::W, R10, -4, 0);
    a.mov(R2, R10);
    a.add(R2, -4);
    a.load_map(R1, STATE.id);
    a.call(Helper::MapLookupElem);
    a.jump_if(Cond::Eq, R0, 0, lost);
    a.mov(R7, R0);
    if (jump::FIRST_BRIDGE..jump::FIRST_RESUME).contains(&index) {
        begin_handed(&mut a, index - jump::FIRST_BRIDGE);
    }
    code(&mut a, lost);
    a.bind(lost);
    a.mov(R0, 2);
    a.exit();
    let (state, generation, flows) = (&datapath.state, &datapath.generation, &datapath.flows);
    let program = datapath
        .loader
        .load(&a.finish().unwrap(), |id| {
            flows.map_fd(id).or_else(|| generation.map_fd(state, id))
        })
        .unwrap();
    generation.put_program(index, &program).unwrap();
}

fn in_port() -> i16 {
    state::KEY + place(FieldId::IN_PORT).unwrap()
}

/// Leaves one thing to be done when the frame comes back.
fn push_frame(a: &mut Assembler) {
    a.load(Size::W, R1, R7, state::FRAMES);
    a.add(R1, 1);
    a.store(Size::W, R7, state::FRAMES, R1);
}

fn redirect(a: &mut Assembler, to: IfIndex) {
    a.mov(R1, to.get() as i32);
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
}

/// Goes to `lost` unless everything is as it was before the frame left.
fn check_state(a: &mut Assembler, number: i32, frames: i32, lost: Label) {
    a.load(Size::W, R1, R7, in_port());
    a.jump_if(Cond::Ne, R1, number, lost);
    a.load(Size::W, R1, R7, state::FRAMES);
    a.jump_if(Cond::Ne, R1, frames, lost);
}

fn frame() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.resize(60, 0x55);
    frame
}

/// Two bridges, both with flows; the ports of the first are 1 to 3, the third leads to the second.
fn two_bridges(test: &str) -> (Lab, Vec<Tap>, Datapath) {
    let lab = Lab::new(test);
    let taps: Vec<Tap> = ["a", "b", "c"]
        .map(|end| lab.tap(&format!("{test}{end}"), MTU))
        .into();
    let left = vec![port(&taps[0], 1), port(&taps[1], 2), patch("pl", "pr", 3)];
    let right = vec![port(&taps[2], 1), patch("pr", "pl", 2)];
    let mut datapath = lab.datapath();
    for name in ["left", "right"] {
        datapath
            .apply_flows(&name.into(), &Tables::new(), None)
            .unwrap();
    }
    let bridges = vec![bridge("left", left), bridge("right", right)];
    let applied = datapath.apply(&Snapshot { bridges }).unwrap();
    assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    (lab, taps, datapath)
}

fn slots(datapath: &Datapath) -> BTreeMap<String, u32> {
    let slots = datapath.state.slots();
    let ports = slots
        .ports
        .iter()
        .map(|(name, slot)| (name.to_string(), *slot));
    let bridges = slots
        .bridges
        .iter()
        .map(|(name, slot)| (name.to_string(), *slot));
    ports.chain(bridges).collect()
}

#[test]
fn a_frame_leaves_for_normal_and_comes_back() {
    let (_lab, taps, mut datapath) = two_bridges("lvn");
    let slots = slots(&datapath);
    let root = jump::bridge(slots["left"]);
    put(&mut datapath, root, |a, lost| {
        check_state(a, 1, 0, lost);
        push_frame(a);
        a.load(Size::W, R1, R7, state::INGRESS);
        a.add(R1, jump::FIRST_NORMAL as i32);
        leave(a, R1, lost);
    });
    let back = taps[0].ifindex;
    let resume = jump::resume(slots["left"]);
    put(&mut datapath, resume, |a, lost| {
        check_state(a, 1, 1, lost);
        redirect(a, back);
    });
    // The other bridge does NORMAL, too, and has nothing left to do.
    let root = jump::bridge(slots["right"]);
    put(&mut datapath, root, |a, lost| {
        a.store(Size::W, R7, in_port(), 99);
        a.load(Size::W, R1, R7, state::INGRESS);
        a.add(R1, jump::FIRST_NORMAL as i32);
        leave(a, R1, lost);
    });
    taps[0].send(&frame()).unwrap();
    assert_eq!(taps[1].receive_all(), [frame()]);
    assert_eq!(taps[2].receive_all(), [frame()]);
    assert_eq!(taps[0].receive_all(), [frame()], "it came back");
    for (port, rx, tx) in [
        ("lvna", 1, 0),
        ("lvnb", 0, 1),
        ("pl", 0, 1),
        ("pr", 1, 0),
        ("lvnc", 0, 1),
    ] {
        let words = datapath.state.words(slots[port]).unwrap();
        let counted = (words[counter::RX_PACKETS], words[counter::TX_PACKETS]);
        assert_eq!(counted, (rx, tx), "{port}");
    }
}

#[test]
fn a_frame_leaves_for_another_pipeline_and_comes_back() {
    let (_lab, taps, mut datapath) = two_bridges("lvp");
    let slots = slots(&datapath);
    let peer = jump::patch(slots["pr"]) as i32;
    let root = jump::bridge(slots["left"]);
    put(&mut datapath, root, |a, lost| {
        check_state(a, 1, 0, lost);
        push_frame(a);
        push_frame(a);
        a.store(Size::W, R7, state::STACK, 1);
        a.store(Size::Dw, R7, state::STACK_AT, 77);
        leave(a, peer, lost);
    });
    let last = taps[1].ifindex;
    let resume = jump::resume(slots["left"]);
    put(&mut datapath, resume, |a, lost| {
        check_state(a, 1, 2, lost);
        a.load(Size::Dw, R1, R7, state::STACK_AT);
        a.jump_if(Cond::Ne, R1, 77, lost);
        a.load(Size::W, R1, R7, state::INSIDE);
        a.jump_if(Cond::Ne, R1, 0, lost);
        redirect(a, last);
    });
    let there = taps[2].ifindex;
    let root = jump::bridge(slots["right"]);
    put(&mut datapath, root, |a, lost| {
        check_state(a, 2, 2, lost);
        for (word, value) in [
            (state::FRAME_BASE, 2),
            (state::STACK, 0),
            (state::INSIDE, 1),
        ] {
            a.load(Size::W, R1, R7, word);
            a.jump_if(Cond::Ne, R1, value, lost);
        }
        a.store(Size::W, R7, in_port(), 99);
        a.store(Size::Dw, R7, state::STACK_AT, 78);
        a.mov(R8, there.get() as i32);
        finish(a, -4, lost);
    });
    taps[0].send(&frame()).unwrap();
    assert_eq!(taps[2].receive_all(), [frame()]);
    assert_eq!(taps[1].receive_all(), [frame()], "it came back");
}
