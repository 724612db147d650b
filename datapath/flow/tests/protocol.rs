//! Random pipelines, through our interpreter and through the real switch's `ofproto/trace`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod pipelines;
mod real_switch;
mod samples;

use aorta_flow::action::{Ct, HashFields};
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowMod, GroupMod, Modification, Tables};
use aorta_flow::text::{Form, NoNames, parse_flow, parse_flow_line, parse_group};
use aorta_flow::translate::{CtOutcome, Effect, Env, Packet, Translation, describe, translate};
use aorta_flow::{Flow, FlowKey, Group, OfPort};
use proptest::strategy::{Strategy, ValueTree};
use real_switch::RealSwitch;

/// A group that every pipeline can use.
const GROUP: &str = "group_id=1,type=all,bucket=set_field:2->reg0,output:3,bucket=output:4";

/// How many pipelines are compared.
fn pipelines_to_compare() -> usize {
    cases::count(12)
}

const PORTS: u16 = 4;
const SAMPLE_PORTS: u16 = 9;
const PACKETS_PER_PIPELINE: usize = 12;

/// `ct_state` of a packet of a new connection.
const CT_NEW_TRACKED: u8 = 0x21;

/// What is around a bridge with so many ports.
struct Around(u16);

impl Env for Around {
    /// From a port that there is to all others: no address has been learned.
    fn normal(&mut self, packet: &Packet) -> Vec<OfPort> {
        let from = packet.key.get(FieldId::IN_PORT) as u16;
        let all = 1..=SAMPLE_PORTS;
        if !all.contains(&from) {
            return Vec::new();
        }
        let others = all.filter(|port| *port != from);
        others.map(OfPort).chain([OfPort::LOCAL]).collect()
    }

    fn has_port(&mut self, port: OfPort) -> bool {
        (1..=self.0).contains(&port.0) || port == OfPort::LOCAL
    }

    fn hash(&mut self, fields: HashFields, _basis: u16, _packet: &Packet) -> u32 {
        panic!("a hash of {} is not generated", fields.name());
    }

    fn ct(&mut self, _ct: &Ct, _packet: &Packet) -> Option<CtOutcome> {
        Some(CtOutcome {
            state: CT_NEW_TRACKED,
            ..CtOutcome::default()
        })
    }

    fn group_hash(&mut self, group: &Group, _packet: &Packet) -> u32 {
        panic!("group {} is no select group", group.id);
    }
}

fn packet(fields: &str) -> Packet {
    let matching = parse_flow(fields, Form::Filter, &NoNames).unwrap().matching;
    let mut key = FlowKey::new();
    for part in matching.parts() {
        key.set(part.field, part.value);
    }
    Packet::new(key, 64)
}

/// Where copies go, in order, as far as there is a port; controllers as the port of this name.
fn ours(translation: &Translation, ports: u16) -> Vec<u16> {
    let number = |port: &OfPort| match *port {
        OfPort::LOCAL => Some(RealSwitch::LOCAL),
        port => Some(port.0).filter(|port| (1..=ports).contains(port)),
    };
    let to = |effect: &Effect| match effect {
        Effect::Output { port, .. } => number(port).into_iter().collect(),
        Effect::Normal { ports, .. } => ports.iter().filter_map(number).collect(),
        // Those that wait for an answer aren't among the datapath's actions.
        Effect::Controller { how, .. } if how.pause => Vec::new(),
        Effect::Controller { .. } => vec![OfPort::CONTROLLER.0],
        _ => Vec::new(),
    };
    translation.effects.iter().flat_map(to).collect()
}

/// What a trace tells behind this word, the first time; without a tag behind the first, of which
/// our text says nothing.
fn told(trace: &str, word: &str) -> String {
    let mut lines = trace.lines();
    let text = lines.find_map(|line| line.strip_prefix(word)).unwrap();
    let inner = |part: &&str| {
        !part.starts_with("vlan_tci1=")
            && !part.starts_with("dl_vlan1=")
            && !part.starts_with("dl_vlan_pcp1=")
    };
    text.split(',').filter(inner).collect::<Vec<_>>().join(",")
}

/// The way through the tables that the real switch tells. It keeps the older form of an action as
/// the newer one.
fn way(trace: &str) -> String {
    let way = trace.split("-------------\n").nth(1).unwrap();
    let way = way.split("\nFinal flow: ").next().unwrap();
    way.replace("set_field:0x7->tun_id", "set_tunnel:0x7")
}

/// Tables of the lines that they accept, and these lines.
fn accepted(lines: Vec<String>) -> (Tables, Vec<String>) {
    let mut tables = Tables::new();
    let group = GroupMod::Add(parse_group(GROUP, &NoNames).unwrap());
    tables.modify(&Modification::Group(group)).unwrap();
    let add = |line: &String| {
        let (command, text) = match parse_flow_line(line, &NoNames) {
            Ok(read) => read,
            Err(e) => panic!("{}", e.render(line)),
        };
        let flow = FlowMod::from_text(command, text);
        tables.modify(&Modification::Flow(flow)).is_ok()
    };
    let lines: Vec<String> = lines.into_iter().filter(add).collect();
    (tables, lines)
}

#[test]
fn random_pipelines_do_what_they_do_in_the_real_switch() {
    let switch = RealSwitch::start(PORTS);
    switch.add_group(GROUP);
    let mut runner = cases::runner();
    let (mut compared, mut busy) = (0, 0);
    for _ in 0..pipelines_to_compare() {
        let lines = pipelines::pipeline()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let (tables, lines) = accepted(lines);
        switch.replace_flows(&lines);
        for _ in 0..PACKETS_PER_PIPELINE {
            let fields = pipelines::packet().new_tree(&mut runner).unwrap().current();
            let packet = packet(&fields);
            let text = describe(&packet.key);
            let translation = translate(&tables, packet, &mut Around(PORTS));
            // The real switch forgets tags where a packet gets more than two.
            let ours_told = translation.trace.to_ovs_text();
            let pushed = ours_told.matches(" push_vlan").count();
            if pushed + usize::from(fields.contains("dl_vlan")) > 2 {
                continue;
            }
            let (theirs, trace) = switch.trace(&fields);
            assert_eq!(text, told(&trace, "Flow: "), "{fields}");
            assert_eq!(ours_told, way(&trace), "{fields}");
            let last = describe(&translation.last);
            match &*told(&trace, "Final flow: ") {
                _ if translation.error.is_some() => {}
                "unchanged" => assert_eq!(last, text, "{trace}"),
                theirs => assert_eq!(last, theirs, "{trace}"),
            }
            assert_eq!(
                ours(&translation, PORTS),
                theirs,
                "{fields}\n{}\n{}\n{trace}",
                lines.join("\n"),
                translation.trace
            );
            compared += 1;
            busy += usize::from(!theirs.is_empty());
        }
    }
    assert!(
        busy * 5 > compared,
        "only {busy} of {compared} packets went anywhere"
    );
}

/// What a line of a bundle asks for.
fn modification(line: &str) -> Modification {
    let group = |text: &str| parse_group(text, &NoNames).unwrap();
    let (what, rest) = line.split_once(' ').unwrap();
    if what == "flow" {
        return match parse_flow_line(rest, &NoNames) {
            Ok((command, text)) => Modification::Flow(FlowMod::from_text(command, text)),
            Err(e) => panic!("{}", e.render(rest)),
        };
    }
    let (command, rest) = rest.split_once(' ').unwrap();
    Modification::Group(match command {
        "add" => GroupMod::Add(group(rest)),
        "modify" => GroupMod::Modify(group(rest)),
        _ => GroupMod::Delete(rest.strip_prefix("group_id=").unwrap().parse().ok()),
    })
}

fn sorted(tables: &Tables) -> Vec<String> {
    let mut flows: Vec<String> = tables.flows().map(|entry| entry.flow.to_string()).collect();
    flows.sort();
    flows
}

/// Bundles for each pipeline of the other test.
const BUNDLES_PER_PIPELINE: usize = 8;

#[test]
fn random_bundles_change_what_they_change_in_the_real_switch() {
    let switch = RealSwitch::start(PORTS);
    let mut tables = Tables::new();
    let mut runner = cases::runner();
    let (mut done, mut refused) = (0, 0);
    for _ in 0..pipelines_to_compare() * BUNDLES_PER_PIPELINE {
        let lines = pipelines::changes::bundle()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let before = sorted(&tables).join("\n");
        let bundle: Vec<Modification> = lines.iter().map(|line| modification(line)).collect();
        let ours = tables.modify_all(&bundle);
        let theirs = switch.bundle(&lines);
        let lines = lines.join("\n");
        assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{before}\n\n{lines}\n{ours:?}\n{theirs:?}"
        );
        if let (Err(ours), Err(theirs)) = (&ours, &theirs) {
            let name = ours.error.openflow().name;
            assert!(
                // Its client refuses some bundles before they are sent.
                theirs.contains(name) || !theirs.contains("OFPT_ERROR"),
                "{before}\n\n{lines}\n{ours:?}\n{theirs}"
            );
            refused += 1;
        } else {
            done += 1;
        }
        assert_eq!(sorted(&tables), switch.flows(), "{before}\n\n{lines}");
    }
    assert!(done > 10 && refused > 10, "{done} done, {refused} refused");
}

#[test]
fn pipelines_of_real_controllers_do_what_they_do_in_the_real_switch() {
    let mut runner = cases::runner();
    let (mut busy, mut same_way) = (0, 0);
    for (name, lines, _) in samples::PIPELINES {
        let switch = RealSwitch::start(SAMPLE_PORTS);
        switch.add_tunnel_option("{class=0x102,type=0x80,len=4}->tun_metadata0");
        let flows: Vec<Flow> = lines
            .lines()
            .map(|line| parse_flow(line, Form::Flow, &NoNames).unwrap().into_flow())
            .collect();
        let (groups, meters) = samples::referred(&flows);
        groups.iter().for_each(|group| switch.add_group(group));
        meters.iter().for_each(|meter| switch.add_meter(meter));
        // Its reader refuses a mask that it prints.
        let text = |flow: &Flow| flow.to_string().replace("/0x3f->ip_dscp", "->ip_dscp");
        let texts: Vec<String> = flows.iter().map(text).collect();
        switch.replace_flows(&texts);
        let tables = samples::tables(&flows);
        let packets = samples::packet(lines);
        for _ in 0..pipelines_to_compare() * 5 {
            let fields = packets.new_tree(&mut runner).unwrap().current();
            let translation = translate(&tables, packet(&fields), &mut Around(SAMPLE_PORTS));
            let (mut theirs, trace) = switch.trace(&fields);
            let told = translation
                .trace
                .to_ovs_text()
                .replace("dec_ttl()", "dec_ttl");
            let they_told = way(&trace);
            // Theirs tells of each pass by itself, of how NORMAL finds its ports, and of packets of
            // either size; and it keeps loads as the newer form.
            let other = [
                "behind connection tracking",
                "NORMAL",
                "check_pkt_larger",
                "load:",
            ];
            if !other.iter().any(|other| told.contains(other)) {
                assert_eq!(told, they_told, "{name}: {fields}");
                same_way += 1;
            }
            let mut ours = ours(&translation, SAMPLE_PORTS);
            // Among the ports that a packet is flooded to, the order is anybody's.
            theirs.sort_unstable();
            ours.sort_unstable();
            assert_eq!(
                ours, theirs,
                "{name}: {fields}\n{}\n{trace}",
                translation.trace
            );
            busy += usize::from(!theirs.is_empty());
        }
    }
    assert!(busy > 5, "only {busy} packets went anywhere");
    assert!(same_way > 50, "only {same_way} ways were compared");
}
