//! Whole switches with flow tables, in bytes: each rule once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bytes;

use std::time::Duration;

use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line, parse_group, parse_meter};
use aorta_flow::translate::Packet;
use aorta_flow::{
    Attachment, Bridge, DropReason, IfIndex, Interpreter, MeterId, OfPort, Port, PortGuard,
    PortHook, PriorityTags, Restrictions, Snapshot, Tracing, Verdict,
};
use bytes::{reply, tagged, udp};

fn port(name: &str, ofport: u16, mtu_bytes: u32, up: bool) -> Port {
    let attachment = Attachment::Netdev {
        ifindex: IfIndex::new(u32::from(ofport) + 1).unwrap(),
        up,
        mtu_bytes,
    };
    Port::new(name.into(), OfPort(ofport), attachment)
}

fn patch(name: &str, peer: &str, ofport: u16) -> Port {
    Port {
        hook: PortHook::Auto,
        guard: PortGuard::default(),
        priority_tags: PriorityTags::Never,
        restrictions: Restrictions::default(),
        attachment: Attachment::Patch { peer: peer.into() },
        ..port(name, ofport, 0, true)
    }
}

fn bridge(name: &str, ports: Vec<Port>) -> Bridge {
    Bridge::new(name.into(), ports)
}

fn tables(lines: &[&str]) -> Tables {
    let mut tables = Tables::new();
    for line in lines {
        let modification = if line.starts_with("group_id") {
            Modification::Group(GroupMod::Add(parse_group(line, &NoNames).unwrap()))
        } else if line.starts_with("meter") {
            Modification::Meter(MeterMod::Add(parse_meter(line).unwrap()))
        } else {
            let (command, text) = parse_flow_line(line, &NoNames).unwrap();
            Modification::Flow(FlowMod::from_text(command, text))
        };
        if let Err(e) = tables.modify(&modification) {
            panic!("{line}: {e}");
        }
    }
    tables
}

/// Bridge br0 with these flows and the ports a (1), b (2), c (3), down (4), small (5) and patch p
/// (6) to q of bridge br1, which has port z (1) and no tables.
fn switch(lines: &[&str]) -> Interpreter {
    let small = port("small", 5, 60, true);
    let ports = vec![
        port("a", 1, 1500, true),
        port("b", 2, 1500, true),
        port("c", 3, 1500, true),
        port("down", 4, 1500, false),
        small,
        patch("p", "q", 6),
    ];
    let other = vec![port("z", 1, 1500, true), patch("q", "p", 2)];
    let mut switch = Interpreter::new(&Snapshot {
        bridges: vec![bridge("br0", ports), bridge("br1", other)],
    });
    assert!(switch.set_tables(&"br0".into(), tables(lines)));
    switch
}

fn receive(switch: &mut Interpreter, frame: &[u8]) -> Verdict {
    switch.receive(&"a".into(), frame, 0)
}

fn run(lines: &[&str], frame: &[u8]) -> Verdict {
    receive(&mut switch(lines), frame)
}

fn outputs(verdict: &Verdict) -> Vec<(&str, &[u8])> {
    let outputs = verdict.outputs.iter();
    outputs.map(|o| (o.port.as_str(), &*o.frame)).collect()
}

fn ports(verdict: &Verdict) -> Vec<&str> {
    verdict.outputs.iter().map(|o| o.port.as_str()).collect()
}

fn drops(verdict: &Verdict) -> Vec<(&str, DropReason)> {
    let drops = verdict.drops.iter();
    drops
        .map(|(port, reason)| (port.as_str(), *reason))
        .collect()
}

#[test]
fn each_copy_leaves_as_the_packet_is_then_and_in_order() {
    let frame = udp(1000, 53, b"payload");
    let line = "udp,actions=output:3,mod_nw_dst:10.0.0.9,output:2,\
                clone(mod_vlan_vid:7,output:3),mod_tp_dst:54,IN_PORT";
    let verdict = run(&[line], &frame);
    let changed = bytes::Ipv4 {
        dst: [10, 0, 0, 9],
        ..bytes::Ipv4::UDP
    };
    let moved = changed.udp(1000, 53, b"payload");
    assert_eq!(
        outputs(&verdict),
        [
            ("c", &*frame),
            ("b", &*moved),
            ("c", &*tagged(0x8100, 7, &moved)),
            ("a", &*changed.udp(1000, 54, b"payload")),
        ]
    );
    assert_eq!(drops(&verdict), []);
}

#[test]
fn what_goes_nowhere_has_a_reason() {
    let frame = udp(1, 2, b"");
    let reasons = |lines: &[&str]| {
        let verdict = run(lines, &frame);
        assert_eq!(verdict.outputs, []);
        verdict.drops.iter().map(|d| d.1).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&["actions=drop"]), [DropReason::FlowDrop]);
    assert_eq!(reasons(&["actions=output:1"]), [DropReason::FlowDrop]);
    assert_eq!(reasons(&["tcp,actions=2"]), [DropReason::TableMiss]);
    assert_eq!(reasons(&[]), [DropReason::TableMiss]);
    let lost = ["actions=resubmit(,1)"];
    assert_eq!(reasons(&lost), [DropReason::TableMiss]);
    let endless = ["actions=resubmit(,0)"];
    assert_eq!(reasons(&endless), [DropReason::PipelineLimit]);
    let some = "actions=push_vlan:0x8100,push_vlan:0x8100,resubmit(,1)";
    let more = "table=1,actions=push_vlan:0x8100,push_vlan:0x8100,resubmit(,2)";
    let most = "table=2,actions=push_vlan:0x8100,output:2";
    assert_eq!(reasons(&[some, more, most]), [DropReason::PipelineLimit]);
    assert_eq!(
        reasons(&[
            "meter=1,kbps,band=type=drop,rate=0",
            "actions=meter:1,output:2"
        ]),
        [DropReason::Meter]
    );
    assert_eq!(reasons(&["actions=output:4"]), [DropReason::PortDown]);
    assert_eq!(reasons(&["actions=output:99"]), [DropReason::PortDown]);
    let short = run(&["actions=output:2"], &frame[..13]);
    assert_eq!(drops(&short), [("a", DropReason::Malformed)]);
}

#[test]
fn copies_that_can_t_leave_are_drops_beside_those_that_do() {
    let frame = udp(1, 2, &[0; 200]);
    let verdict = run(&["actions=output:4,output:5,output:2"], &frame);
    assert_eq!(ports(&verdict), ["b"]);
    let expected = [("a", DropReason::PortDown), ("a", DropReason::ExceedsMtu)];
    assert_eq!(drops(&verdict), expected);
    let cut = run(&["actions=output(port=5,max_len=40),output:2"], &frame);
    assert_eq!(outputs(&cut), [("small", &frame[..40]), ("b", &*frame)]);
    let flood = run(&["actions=FLOOD"], &frame);
    assert_eq!(ports(&flood), ["b", "c", "z"]);
    assert_eq!(drops(&flood), []);
}

#[test]
fn copies_that_left_before_a_packet_is_given_up_have_left() {
    let lines = [
        "actions=output:2,resubmit(,1)",
        "table=1,actions=resubmit(,1)",
    ];
    let verdict = run(&lines, &udp(1, 2, b""));
    assert_eq!((ports(&verdict), drops(&verdict)), (vec!["b"], vec![]));
}

#[test]
fn normal_and_patch_ports_lead_into_the_other_kind_of_bridge() {
    let frame = udp(1, 2, b"");
    let mut switch = switch(&["actions=mod_dl_src:02:00:00:00:00:77,NORMAL"]);
    let verdict = receive(&mut switch, &frame);
    assert_eq!(ports(&verdict), ["b", "c", "small", "z"]);
    let source = verdict.outputs[0].frame[6..12].to_vec();
    assert_eq!(source, [2, 0, 0, 0, 0, 0x77]);
    let learned = switch.learned(1, 0);
    assert_eq!(learned.len(), 1);
    assert_eq!(learned[0].1.0[5], 0x77, "br1 saw the new source");
    // Back again: from a bridge without tables into one with them.
    let back = switch.receive(&"z".into(), &frame, 0);
    assert_eq!(ports(&back), ["a", "b", "c", "small"]);
}

#[test]
fn a_dropped_normal_copy_has_normal_s_reason() {
    let mut frame = udp(1, 2, b"");
    frame[..6].copy_from_slice(&[1, 0x80, 0xc2, 0, 0, 0]);
    let verdict = run(&["actions=NORMAL,output:2"], &frame);
    assert_eq!(ports(&verdict), ["b"]);
    assert_eq!(drops(&verdict), [("a", DropReason::Reserved)]);
}

#[test]
fn flows_groups_and_meters_count() {
    let lines = [
        "meter=1,pktps,burst,band=type=drop,rate=1,burst_size=2",
        "group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:0,output:3",
        "priority=2,actions=resubmit(,1),resubmit(,1)",
        "table=1,actions=meter:1,group:1",
    ];
    let mut switch = switch(&lines);
    let name = "br0".into();
    let frame = udp(1, 2, b"");
    let now = Duration::from_millis(5);
    let verdict = switch.receive_at(&"a".into(), &frame, now);
    assert_eq!(ports(&verdict), ["b", "b"]);
    let verdict = switch.receive_at(&"a".into(), &frame, now);
    assert_eq!(drops(&verdict), [("a", DropReason::Meter)]);
    let ids: Vec<_> = switch
        .tables(&name)
        .unwrap()
        .flows()
        .map(|f| f.id)
        .collect();
    let counts: Vec<_> = ids.iter().map(|id| switch.flow_count(&name, *id)).collect();
    assert_eq!([counts[0].packets, counts[1].packets], [2, 3]);
    assert_eq!(counts[1].bytes, 3 * frame.len() as u64);
    assert_eq!(counts[0].last_used, Some(now));
    let group = switch.group_count(&name, 1);
    assert_eq!(group.all.packets, 2);
    assert_eq!(group.buckets[&0].packets, 2);
    let meter = switch.meter_state(&name, MeterId::Number(1));
    assert_eq!((meter.input.packets, meter.bands[0].packets), (3, 1));
}

#[test]
fn controllers_get_the_packet_as_it_is_then() {
    let frame = udp(1, 2, b"");
    let lines = [
        "cookie=7,udp,actions=set_field:5->reg3,mod_tp_dst:9,controller(max_len=44,id=3,userdata=01.02)",
    ];
    let verdict = run(&lines, &frame);
    assert_eq!(verdict.drops, []);
    let [packet_in] = &verdict.packet_ins[..] else {
        panic!("{verdict:?}");
    };
    assert_eq!(packet_in.frame, udp(1, 9, b""));
    assert_eq!(
        (packet_in.how.id, &*packet_in.how.userdata),
        (3, &[1, 2][..])
    );
    assert_eq!(packet_in.cookie, Some(7));
    assert_eq!(packet_in.fields.get(aorta_flow::field::FieldId::reg(3)), 5);
}

#[test]
fn learned_flows_can_be_made() {
    let lines = [
        "priority=1,actions=learn(table=1,cookie=9,limit=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
         output:NXM_OF_IN_PORT[]),resubmit(,1)",
        "table=1,priority=0,actions=output:3",
    ];
    let mut switch = switch(&lines);
    let mut frame = udp(1, 2, b"");
    let verdict = receive(&mut switch, &frame);
    assert_eq!(ports(&verdict), ["c"]);
    let changes = switch.learn(&verdict.learned[0]).unwrap();
    assert_eq!(changes.len(), 1);
    let reply = switch.receive(&"b".into(), &reply(&frame), 0);
    assert_eq!(ports(&reply), ["a"]);
    frame[11] ^= 0x40;
    let other = receive(&mut switch, &frame);
    assert_eq!(switch.learn(&other.learned[0]).unwrap(), [], "one at most");
}

fn trace(lines: &[&str], packet: &str) -> Tracing {
    let packet = Packet::from_text(packet, &NoNames).unwrap();
    let tracing = switch(lines).trace(&"br0".into(), packet, Duration::ZERO);
    tracing.unwrap()
}

#[test]
fn a_trace_tells_the_way_through_all_bridges() {
    let lines = [
        "cookie=0x7,priority=5,udp,tp_dst=80/0xfff0,actions=load:5->NXM_NX_REG2[0..11],\
         dec_ttl,output:6,resubmit(,1)",
        "table=1,ip,actions=mod_nw_dst:10.0.0.3,output:2,controller",
    ];
    let udp = "in_port=1,udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,\
               nw_dst=10.0.0.2,nw_ttl=64,tp_src=9,tp_dst=80";
    let tracing = trace(&lines, udp);
    let ports: Vec<_> = tracing.outputs.iter().map(|o| o.port.clone()).collect();
    assert_eq!(ports, [Some("z".into()), Some("b".into()), None]);
    assert_eq!(tracing.outputs[1].frame.len(), 14 + 20 + 16);
    assert!(tracing.outputs[1].packet.contains("nw_dst=10.0.0.3"));
    let told = tracing.trace.to_string();
    for change in ["reg2: 0 -> 0x5", "ip_dst: 10.0.0.2 -> 10.0.0.3"] {
        assert!(told.contains(change), "{told}");
    }
    assert_eq!(
        tracing.to_string(),
        "Flow: udp,in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=9,tp_dst=80

bridge(\"br0\")
-------------
 0. udp,tp_dst=0x50/0xfff0, priority 5, cookie 0x7
    load:0x5->NXM_NX_REG2[0..11]
    dec_ttl
    output:6

    bridge(\"br1\")
    -------------
         0. priority 0
            NORMAL
             -> no learned MAC for destination, flooding
    resubmit(,1)
 1. ip, priority 32768
    mod_nw_dst:10.0.0.3
    output:2
    CONTROLLER:65535

Final flow: udp,reg2=0x5,in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
nw_src=10.0.0.1,nw_dst=10.0.0.3,nw_tos=0,nw_ecn=0,nw_ttl=63,nw_frag=no,tp_src=9,tp_dst=80
Megaflow: recirc_id=0,eth,udp,in_port=1,nw_ttl=64,nw_frag=no,tp_dst=0x50/0xfff0
Datapath actions: z,b,userspace(controller)
"
    );
}

#[test]
fn a_trace_tells_why_nothing_leaves_and_changes_nothing() {
    let dropped = trace(&["table=0,tcp,actions=2"], "in_port=1,arp");
    assert_eq!(dropped.drop, Some(DropReason::TableMiss));
    assert!(dropped.to_string().ends_with("Datapath actions: drop\n"));
    let bare = Packet::new(
        Packet::from_text("in_port=1,arp", &NoNames).unwrap().key,
        60,
    );
    let composed = switch(&["actions=2"]).trace(&"br0".into(), bare, Duration::ZERO);
    assert_eq!(composed.unwrap().outputs.len(), 1, "fields are enough");
    let down = trace(&["actions=output:4"], "in_port=77");
    assert_eq!(down.drops, [("77".into(), DropReason::PortDown)]);
    let mut real = switch(&["actions=NORMAL"]);
    let packet = Packet::from_frame(&udp(1, 2, b""), OfPort(1)).unwrap();
    real.trace(&"br0".into(), packet, Duration::ZERO).unwrap();
    assert!(real.learned(0, 0).is_empty());
    assert!(ports(&receive(&mut real, &udp(1, 2, b""))).len() > 1);
    assert_eq!(
        real.trace(&"br9".into(), Packet::default(), Duration::ZERO),
        None
    );
}
