//! Copies that pipelines send to the daemon, against what the interpreter tells. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod flow_lab;
mod lab;
mod rig;

use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::upcall::Copy;
use aorta_flow::action::{Action, Controller};
use aorta_flow::field::FieldId;
use aorta_flow::table::FlowId;
use aorta_flow::translate::{Continuation, Notes, Packet, learned_flow};
use aorta_flow::{Flow, MeterId, PortName};
use aorta_kernel::Upcalls;
use flow_lab::{Flows, MTU, apply, bridge, port};
use lab::Lab;
use rig::{Rig, udp};

/// What a copy asks for, as far as both sides tell it.
#[derive(Clone, PartialEq, Debug)]
enum Asked {
    Controller {
        how: Controller,
        table: u8,
        flow: Option<FlowId>,
        frame: Vec<u8>,
        frame_bytes: u32,
        registers: Vec<u128>,
    },
    Learn(Box<Flow>),
}

fn registers(packet: &aorta_flow::FlowKey) -> Vec<u128> {
    let fields = (0..4).map(FieldId::xxreg).chain([FieldId::METADATA]);
    fields.map(|field| packet.get(field)).collect()
}

/// What the kernel sent since the last time.
fn sent(rig: &Rig, upcalls: &mut Upcalls) -> Vec<Asked> {
    let pipeline = rig.bare.pipeline.as_ref().unwrap();
    let all = std::iter::from_fn(|| upcalls.next_upcall());
    let asked = all.map(|upcall| {
        assert_eq!(upcall.bridge_slot, 0);
        let copy = Copy {
            what: upcall.what,
            version: upcall.version,
            in_port: upcall.in_port,
            words: &upcall.words,
            frame: &upcall.frame,
            frame_bytes: upcall.frame_len,
        };
        let (action, packet): (&Action, Packet) = pipeline.asked(&copy).unwrap();
        let mut flows = rig.tables.flows().map(|entry| entry.id);
        match action {
            Action::Controller(how) => Asked::Controller {
                how: (**how).clone(),
                table: upcall.table,
                flow: flows.find(|id| rig.bare.rule(*id) == upcall.rule),
                frame: upcall.frame.clone(),
                frame_bytes: upcall.frame_len,
                registers: registers(&packet.key),
            },
            Action::Learn(learn) => Asked::Learn(Box::new(learned_flow(learn, &packet))),
            other => panic!("{other}"),
        }
    });
    asked.collect()
}

fn expected(rig: &mut Rig, port: &PortName, frame: &[u8]) -> Vec<Asked> {
    let verdict = rig.reference.receive(port, frame, 0);
    let packet_ins = verdict.packet_ins.into_iter().map(|p| Asked::Controller {
        how: p.how,
        table: p.table,
        flow: p.flow,
        frame_bytes: p.frame_bytes,
        frame: p.frame,
        registers: registers(&p.fields),
    });
    let learned = verdict.learned.into_iter();
    let learned = learned.map(|l| Asked::Learn(Box::new(l.flow)));
    packet_ins.chain(learned).collect()
}

fn check(rig: &mut Rig, upcalls: &mut Upcalls, frame: &[u8]) {
    rig.run(frame);
    let sent = sent(rig, upcalls);
    let port = rig.taps[0].name.clone();
    let expected = expected(rig, &port, frame);
    assert!(!expected.is_empty());
    assert_eq!(sent, expected, "frame {frame:02x?}");
}

#[test]
fn controllers_get_packets_as_they_are() {
    let mut rig = Rig::new(
        "uc",
        "group_id=1,type=all,bucket=set_field:9->reg0,controller(id=5),bucket=controller(id=6)
         table=0,cookie=1,udp,tp_dst=1 actions=controller
         table=0,udp,tp_dst=2 actions=set_field:0x12345->reg3,set_field:10.9.8.7->ip_dst,\
            output:2,controller(max_len=20,userdata=01.02),set_field:10.9.8.6->ip_dst,output:3
         table=0,udp,tp_dst=3 actions=push_vlan:0x8100,set_field:4105->vlan_vid,controller,\
            controller(max_len=3),controller(max_len=14),resubmit(,1)
         table=0,udp,tp_dst=4 actions=set_field:1->nw_ttl,dec_ttl(7,8)
         table=0,udp,tp_dst=5 actions=group:1,controller(reason=no_match)
         table=0,udp,tp_dst=6 actions=write_metadata:0x77,goto_table:1
         table=0,udp,tp_dst=7 actions=push_vlan:0x88a8,push_vlan:0x8100,controller,pop_vlan,controller
         table=1,priority=3 actions=controller(id=3)",
    );
    let mut upcalls = rig.bare.upcalls();
    for port in 1..=7 {
        check(&mut rig, &mut upcalls, &udp(1000, port));
    }
}

/// What is left of the way of a packet that waits, as flows and what came along with it say.
fn left(rig: &Rig, upcalls: &mut Upcalls) -> Vec<Continuation> {
    let pipeline = rig.bare.pipeline.as_ref().unwrap();
    let flow_of = |rule: u32| {
        let mut flows = rig.tables.flows();
        let found = flows.find(|entry| rig.bare.rule(entry.id) == Some(RuleId(rule)));
        found.unwrap()
    };
    let all = std::iter::from_fn(|| upcalls.next_upcall());
    let left = all.map(|upcall| {
        let copy = Copy {
            what: upcall.what,
            version: upcall.version,
            in_port: upcall.in_port,
            words: &upcall.words,
            frame: &upcall.frame,
            frame_bytes: upcall.frame_len,
        };
        let (action, _) = pipeline.asked(&copy).unwrap();
        let Action::Controller(how) = action else {
            panic!("{action}");
        };
        let waiting = pipeline.waiting(&copy).unwrap();
        let callers = waiting.callers.iter();
        let notes = Notes {
            callers: callers
                .map(|(rule, which)| (flow_of(*rule).id, *which))
                .collect(),
            writers: waiting
                .writers
                .iter()
                .map(|rule| flow_of(*rule).id)
                .collect(),
            values: waiting.values,
        };
        let find = |id| {
            let mut flows = rig.tables.flows();
            flows.find(|entry| entry.id == id).map(|entry| &*entry.flow)
        };
        let flow = &flow_of(upcall.rule.unwrap().0).flow;
        notes.continuation(flow, how, find).unwrap()
    });
    left.collect()
}

#[test]
fn packets_that_wait_know_what_is_left_of_their_way() {
    let mut rig = Rig::new(
        "uw",
        "table=0,cookie=1,udp,tp_dst=1 actions=controller(pause),output:2
         table=0,cookie=2,udp,tp_dst=2 actions=set_field:1->reg0,resubmit(,1),output:2,\
            set_field:5->reg2,resubmit(,3)
         table=0,udp,tp_dst=3 actions=set_field:0x55->reg0,push:NXM_NX_REG0[],resubmit(,4),\
            pop:NXM_NX_REG3[],output:2
         table=0,udp,tp_dst=4 actions=clone(set_field:3->reg1,resubmit(,1),output:3),output:2
         table=0,udp,tp_dst=5 actions=write_actions(set_field:10.9.8.7->ip_dst,output:2),goto_table:5
         table=0,udp,tp_dst=6 actions=output:3,clone(controller(pause,userdata=04),output:2)
         table=0,udp,tp_dst=7 actions=clone(resubmit(,5)),resubmit(,5),output:3
         table=1,cookie=3 actions=resubmit(,3),output:3,resubmit(,2),set_field:7->reg1,resubmit(,3)
         table=2,cookie=4 actions=controller(pause,userdata=01),output:2
         table=3 actions=set_field:8->reg5
         table=4 actions=set_field:0x66->reg1,push:NXM_NX_REG1[0..15],controller(pause,userdata=02),\
            pop:NXM_NX_REG4[]
         table=5 actions=controller(pause,userdata=03),write_metadata:7,goto_table:6
         table=6 actions=clear_actions",
    );
    let mut upcalls = rig.bare.upcalls();
    let port = rig.taps[0].name.clone();
    for number in 1..=7 {
        let frame = udp(1000, number);
        rig.run(&frame);
        let found = left(&rig, &mut upcalls);
        let verdict = rig.reference.receive(&port, &frame, 0);
        let packet_ins = verdict.packet_ins.into_iter();
        let expected: Vec<_> = packet_ins.map(|packet| *packet.left.unwrap()).collect();
        assert!(!expected.is_empty(), "port {number}");
        assert_eq!(found, expected, "port {number}");
    }
}

#[test]
fn flows_are_made_of_packets() {
    let mut rig = Rig::new(
        "ul",
        "table=0,udp,tp_dst=1 actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x5,\
            NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],\
            load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:2
         table=0,udp,tp_dst=2 actions=set_field:7->reg5,set_field:10.1.1.1->ip_src,\
            learn(table=21,idle_timeout=5,eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],\
            load:NXM_NX_REG5[0..15]->NXM_NX_REG0[0..15])",
    );
    let mut upcalls = rig.bare.upcalls();
    for port in 1..=2 {
        check(&mut rig, &mut upcalls, &udp(1000, port));
    }
    // The same again at once is no news.
    rig.run(&udp(1000, 1));
    assert_eq!(sent(&rig, &mut upcalls), []);
    let mut other = udp(1000, 1);
    other[11] = 0x44;
    check(&mut rig, &mut upcalls, &other);
}

#[test]
fn the_datapath_tells_what_packets_are_there_for() {
    let lab = Lab::new("asked");
    let (a, b) = (lab.tap("ua", MTU), lab.tap("ub", MTU));
    let mut datapath = lab.datapath();
    let mut flows = Flows::new("br0");
    let lines = [
        "table=0,cookie=7,udp,tp_dst=1 actions=meter:3,controller(id=9),output:2",
        "table=0,udp,tp_dst=2 actions=learn(table=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])",
    ];
    flows.add_meter("meter=3,kbps,burst,band=type=drop,rate=1,burst_size=1");
    flows.change(&mut datapath, &lines);
    let ports = vec![port(&a, 1), port(&b, 2)];
    apply(&mut datapath, vec![bridge("br0", ports)]);
    let mut upcalls = datapath.upcalls().unwrap().unwrap();
    // A kilobit is two such packets.
    for _ in 0..4 {
        a.send(&udp(1000, 1)).unwrap();
    }
    a.send(&udp(1000, 2)).unwrap();
    let asked: Vec<_> = std::iter::from_fn(|| upcalls.next_upcall())
        .map(|upcall| datapath.asked(&upcall).unwrap())
        .collect();
    let text: Vec<String> = asked.iter().map(|asked| asked.action.to_string()).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert_eq!(text[..2], ["controller(id=9)", "controller(id=9)"]);
    assert!(text[2].starts_with("learn("), "{text:?}");
    assert_eq!(asked[0].bridge, "br0".into());
    let cookies = flows.tables.flows().map(|e| (Some(e.id), e.flow.cookie));
    let cookies: std::collections::HashMap<_, _> = cookies.collect();
    assert_eq!(cookies[&asked[0].flow], 7);
    assert_eq!(asked[0].packet.frame().unwrap(), udp(1000, 1));
    assert_eq!(b.receive_all().len(), 2);
    let meter = &datapath.meter_stats(&"br0".into())[&MeterId::Number(3)];
    assert_eq!((meter.input.packets, meter.bands[0].packets), (4, 2));

    a.send(&udp(1000, 1)).unwrap();
    let mut other = udp(1000, 2);
    other[11] = 0x44;
    a.send(&other).unwrap();
    let late = upcalls.next_upcall().unwrap();
    let other = "table=0,cookie=8,udp,tp_dst=9 actions=clone(dec_ttl),output:2";
    assert!(!flows.change(&mut datapath, &[other]).in_place);
    assert_eq!(datapath.asked(&late), None, "from flows that are gone");
    let meter = &datapath.meter_stats(&"br0".into())[&MeterId::Number(3)];
    assert_eq!(meter.input.packets, 5, "meters go on counting");
}
