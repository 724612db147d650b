//! Packets that controllers send.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bytes;

use std::time::Duration;

use aorta_flow::action::{Action, PacketInReason};
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{Form, NoNames, parse_flow, parse_flow_line};
use aorta_flow::{
    Attachment, Bridge, IfIndex, Interpreter, OfPort, PacketOut, Port, Snapshot, Verdict,
};
use aorta_packet::{MacAddr, Vid};
use bytes::udp;

/// Bridge br0 with ports p1 to p3.
fn switch(lines: &[&str]) -> Interpreter {
    let port = |n: u16| {
        Port::new(
            format!("p{n}").into(),
            OfPort(n),
            Attachment::Netdev {
                ifindex: IfIndex::new(n.into()).unwrap(),
                up: true,
                mtu_bytes: 1500,
            },
        )
    };
    let bridge = Bridge::new("br0".into(), (1..=3).map(port).collect());
    let mut tables = Tables::new();
    for line in lines {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        let add = Modification::Flow(FlowMod::from_text(command, text));
        tables.modify(&add).unwrap();
    }
    let mut switch = Interpreter::new(&Snapshot {
        bridges: vec![bridge],
    });
    assert!(switch.set_tables(&"br0".into(), tables));
    switch
}

fn sent(in_port: OfPort, actions: &str) -> PacketOut {
    let text = parse_flow(&format!("actions={actions}"), Form::Flow, &NoNames).unwrap();
    PacketOut {
        in_port,
        fields: Vec::new(),
        frame: udp(1, 2, b"x"),
        actions: text.into_flow().instructions.apply.clone(),
    }
}

fn send(switch: &mut Interpreter, packet: &PacketOut) -> Verdict {
    let verdict = switch.packet_out(&"br0".into(), packet, Duration::ZERO);
    verdict.unwrap()
}

fn ports(verdict: &Verdict) -> Vec<&str> {
    verdict.outputs.iter().map(|o| o.port.as_str()).collect()
}

#[test]
fn actions_are_done_as_if_the_packet_had_come_in() {
    let mut switch = switch(&[]);
    let flood = send(&mut switch, &sent(OfPort(2), "FLOOD"));
    assert_eq!(ports(&flood), ["p1", "p3"]);
    let back = send(&mut switch, &sent(OfPort(2), "IN_PORT,2,1"));
    assert_eq!(ports(&back), ["p2", "p1"]);
    let anywhere = send(&mut switch, &sent(OfPort::CONTROLLER, "ALL"));
    assert_eq!(ports(&anywhere), ["p1", "p2", "p3"]);
}

#[test]
fn a_packet_from_no_port_is_switched_and_teaches_nothing() {
    let mut switch = switch(&[]);
    let normal = sent(OfPort::ANY, "NORMAL");
    let first = send(&mut switch, &normal);
    assert_eq!(ports(&first), ["p1", "p2", "p3"]);
    assert!(first.asked_normal);
    assert_eq!(switch.learned(0, 0), []);
    let frame = &normal.frame;
    let mac = |at: usize| MacAddr(frame[at..at + 6].try_into().unwrap());
    let station = (Vid::new(0).unwrap(), mac(0));
    switch.add_station(&"br0".into(), station, OfPort(3), 0);
    assert_eq!(ports(&send(&mut switch, &normal)), ["p3"]);
    send(&mut switch, &sent(OfPort(1), "NORMAL"));
    let source = (Vid::new(0).unwrap(), mac(6), OfPort(1));
    assert!(
        switch.learned(0, 0).contains(&source),
        "one from a port does"
    );
}

#[test]
fn tables_are_looked_up_and_their_flows_count() {
    let mut switch = switch(&[
        "in_port=3,reg1=7,actions=output:1",
        "table=4,actions=controller(userdata=01)",
    ]);
    let mut packet = sent(OfPort(3), "resubmit(,4)");
    packet.actions.push(Action::Output(OfPort::TABLE));
    packet.actions.push(Action::Output(OfPort::CONTROLLER));
    packet.fields = vec![(FieldId::reg(1), 7)];
    let verdict = send(&mut switch, &packet);
    assert_eq!(ports(&verdict), ["p1"]);
    let reasons: Vec<_> = verdict.packet_ins.iter().map(|p| p.how.reason).collect();
    assert_eq!(reasons, [PacketInReason::Action, PacketInReason::PacketOut]);
    let counted = switch.take_flow_counts();
    assert_eq!(counted.len(), 1);
    assert!(counted[0].1.values().all(|count| count.packets == 1));
    assert_eq!(counted[0].1.len(), 2);
    assert!(switch.take_flow_counts().is_empty());
}

#[test]
fn what_can_t_be_a_frame_is_dropped() {
    let mut switch = switch(&[]);
    let short = PacketOut {
        frame: vec![1; 13],
        ..sent(OfPort(1), "2")
    };
    let verdict = send(&mut switch, &short);
    assert_eq!((verdict.outputs.len(), verdict.drops.len()), (0, 1));
    assert!(
        switch
            .packet_out(&"br9".into(), &short, Duration::ZERO)
            .is_none()
    );
}

#[test]
fn a_copy_that_waits_goes_on_alone() {
    let mut switch = switch(&[
        "table=0,actions=push:NXM_OF_IN_PORT[],clone(load:5->NXM_NX_REG0[],resubmit(,1),output:3),output:2",
        "table=1,actions=controller(pause),pop:NXM_NX_REG1[],resubmit(,2)",
        "table=2,reg0=5,reg1=1,actions=in_port",
    ]);
    let first = switch.receive(&"p1".into(), &udp(1, 2, b"x"), 0);
    assert_eq!(ports(&first), ["p2"]);
    let [packet] = &first.packet_ins[..] else {
        panic!("{first:?}");
    };
    let waits = PacketOut {
        in_port: OfPort(1),
        fields: vec![(FieldId::reg(0), packet.fields.get(FieldId::reg(0)))],
        frame: packet.frame.clone(),
        actions: Vec::new(),
    };
    let left = packet.left.as_ref().unwrap();
    let resumed = switch.resume(&"br0".into(), &waits, left, Duration::ZERO);
    assert_eq!(ports(&resumed.unwrap()), ["p1", "p3"]);
}
