//! Random values in every version: what is written means the same when it is read, as far as the
//! version can say it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../datapath/flow/tests/flows/mod.rs"]
mod flows;

use std::sync::Arc;
use std::time::Duration;

use aorta_flow::action::PacketInReason;
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowMod, RemovedReason};
use aorta_flow::text::{Command, Form as TextForm, NoNames, parse_flow};
use aorta_flow::{Flow, FlowFlags, FlowStats, OfPort};
use aorta_openflow::message::{
    FlowModMessage, FlowRecord, FlowRemoved, FlowStatsReply, FlowUpdate, FlowUpdateEvent, Form,
    MultipartReply, PacketIn, PacketInForm, PacketOut,
};
use aorta_openflow::{Context, EncodeError, Envelope, Framer, Message, Version, decode, encode};
use proptest::prelude::*;

const CONTEXT: Context<'static> = Context {
    flow_mod_table_id: true,
    options: None,
};

fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(Version::ALL.to_vec())
}

/// A message that was written and read, or none if the version can't say it.
fn through(version: Version, message: Message) -> Option<Message> {
    let envelope = Envelope {
        version,
        xid: 7,
        message,
    };
    let bytes = match encode(&envelope, CONTEXT) {
        Ok(bytes) => bytes,
        Err(EncodeError::Unsupported { .. }) => return None,
        Err(e) => panic!("{envelope:?}: {e}"),
    };
    let read = match decode(&bytes, CONTEXT) {
        Ok(read) => read,
        Err(e) => panic!("{envelope:?}\n{bytes:02x?}\n{e}"),
    };
    // What a version says in another way is said the same way from then on.
    let again = encode(&read, CONTEXT).unwrap_or_else(|e| panic!("{read:?}: {e}"));
    let second = decode(&again, CONTEXT).unwrap_or_else(|e| panic!("{read:?}: {e}"));
    let third = encode(&second, CONTEXT).unwrap_or_else(|e| panic!("{second:?}: {e}"));
    assert!(third == again, "{envelope:?}\n{read:?}\n{second:?}");
    Some(read.message)
}

/// Whether messages can say something of a field.
fn has_code(field: FieldId) -> bool {
    let home = field.field().home == field;
    field.field().code().is_some() || !home
}

/// A flow of which messages can say all.
fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![flows::any_flow(), flows::plain_flow(has_code)].prop_map(|mut flow| {
        for field in FieldId::all().filter(|field| !has_code(*field)) {
            flow.matching.set_masked(field, 0, 0).unwrap();
        }
        flow
    })
}

fn add(flow: &Flow) -> FlowMod {
    FlowMod {
        command: Command::Add,
        table: Some(flow.table),
        flow: flow.clone(),
        ..FlowMod::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1500)
    })]

    #[test]
    fn changes_of_flows(version in version(), nicira in any::<bool>(), flow in flow()) {
        let form = if nicira { Form::Nicira } else { Form::Standard };
        let message = FlowModMessage { form, change: add(&flow), buffer_id: None };
        if let Some(read) = through(version, Message::FlowMod(message)) {
            let Message::FlowMod(read) = read else { panic!("{read:?}") };
            let change = read.change;
            prop_assert_eq!(&change.flow.matching, &flow.matching);
            prop_assert_eq!(change.flow.priority, flow.priority);
            prop_assert_eq!(change.flow.cookie, flow.cookie);
            prop_assert_eq!(change.flow.idle_timeout_s, flow.idle_timeout_s);
            prop_assert_eq!(change.table, Some(flow.table));
            let late = !nicira && version >= Version::OpenFlow14;
            prop_assert_eq!(change.flow.importance, if late { flow.importance } else { 0 });
            prop_assert_eq!(change.flow.flags.contains(FlowFlags::SEND_FLOW_REM),
                flow.flags.contains(FlowFlags::SEND_FLOW_REM));
        }
    }

    #[test]
    fn selections(
        version in version(),
        flow in flow(),
        strict in any::<bool>(),
        modify in any::<bool>(),
        cookie in proptest::option::of((any::<u64>(), 1..=u64::MAX)),
        port in proptest::option::of(flows::port()),
    ) {
        let command = match (modify, strict) {
            (true, true) => Command::ModifyStrict,
            (true, false) => Command::Modify,
            (false, true) => Command::DeleteStrict,
            (false, false) => Command::Delete,
        };
        let mut change = add(&flow);
        change.command = command;
        change.cookie = cookie;
        change.out_port = port.filter(|_| !modify);
        change.flow.cookie = 0;
        let form = match version {
            Version::OpenFlow10 => Form::Nicira,
            _ => Form::Standard,
        };
        let message = FlowModMessage { form, change: change.clone(), buffer_id: None };
        if let Some(Message::FlowMod(read)) = through(version, Message::FlowMod(message)) {
            prop_assert_eq!(read.change.command, command);
            prop_assert_eq!(read.change.cookie, cookie);
            prop_assert_eq!(read.change.out_port, change.out_port);
            prop_assert_eq!(read.change.flow.matching, flow.matching);
        }
    }

    #[test]
    fn flows_with_counters(
        version in version(),
        nicira in any::<bool>(),
        flows in proptest::collection::vec(flow(), 0..4),
        n_packets in any::<u64>(),
    ) {
        let form = if nicira && version == Version::OpenFlow10 {
            Form::Nicira
        } else {
            Form::Standard
        };
        let record = |flow: &Flow| FlowRecord {
            flow: Arc::new(flow.clone()),
            stats: FlowStats {
                duration: Duration::new(77, 123_000_000),
                n_packets,
                n_bytes: 5,
                ..FlowStats::default()
            },
        };
        let records: Vec<FlowRecord> = flows.iter().map(record).collect();
        let reply = MultipartReply::Flow(FlowStatsReply { form, flows: records.clone() });
        let read = through(version, Message::Reply { reply, more: true }).unwrap();
        let Message::Reply { reply: MultipartReply::Flow(read), more: true } = read else {
            panic!("{read:?}");
        };
        prop_assert_eq!(read.flows.len(), records.len());
        for (read, written) in read.flows.iter().zip(&records) {
            prop_assert_eq!(read.stats.n_packets, n_packets);
            prop_assert_eq!(read.stats.duration, written.stats.duration);
            prop_assert_eq!(read.flow.priority, written.flow.priority);
            // The fixed match of OpenFlow 1.0 can't say all.
            if version > Version::OpenFlow10 || form == Form::Nicira {
                prop_assert_eq!(&read.flow.matching, &written.flow.matching);
            }
        }
    }

    #[test]
    fn news_of_flows(version in version(), nicira in any::<bool>(), flow in flow()) {
        let removed = FlowRemoved {
            form: if nicira { Form::Nicira } else { Form::Standard },
            matching: flow.matching.clone(),
            cookie: flow.cookie,
            priority: flow.priority,
            reason: RemovedReason::HardTimeout,
            table: Some(flow.table),
            duration: Duration::from_millis(1500),
            idle_timeout_s: flow.idle_timeout_s,
            hard_timeout_s: flow.hard_timeout_s,
            n_packets: None,
            n_bytes: Some(7),
        };
        let read = through(version, Message::FlowRemoved(removed.clone())).unwrap();
        let Message::FlowRemoved(read) = read else { panic!("{read:?}") };
        prop_assert_eq!(read.cookie, removed.cookie);
        prop_assert_eq!(read.n_packets, None);
        prop_assert_eq!(read.n_bytes, Some(7));
        if version > Version::OpenFlow10 || nicira {
            prop_assert_eq!(read.table, removed.table);
            prop_assert_eq!(read.matching, removed.matching);
        }
        let update = FlowUpdate::Full {
            event: FlowUpdateEvent::Removed(RemovedReason::Deleted),
            flow: Arc::new(Flow { flags: FlowFlags::default(), importance: 0, ..flow.clone() }),
        };
        let reply = MultipartReply::FlowMonitor(vec![update, FlowUpdate::Abbreviated { xid: 5 }]);
        let read = through(version, Message::Reply { reply, more: false }).unwrap();
        let Message::Reply { reply: MultipartReply::FlowMonitor(read), .. } = read else {
            panic!("{read:?}");
        };
        let FlowUpdate::Full { flow: read, .. } = &read[0] else { panic!("{read:?}") };
        prop_assert_eq!(&read.matching, &flow.matching);
        prop_assert_eq!((read.table, read.cookie), (flow.table, flow.cookie));
    }

    #[test]
    fn packets(
        version in version(),
        form in proptest::sample::select(vec![
            PacketInForm::Standard, PacketInForm::Nicira, PacketInForm::Nicira2,
        ]),
        flow in flow(),
        frame in proptest::collection::vec(any::<u8>(), 0..100),
        port in 1..0xff00u16,
        userdata in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let out = PacketOut {
            buffer_id: None,
            in_port: OfPort(port),
            metadata: aorta_flow::Match::any(),
            actions: flow.instructions.apply.clone(),
            frame: frame.clone(),
        };
        if let Some(Message::PacketOut(read)) = through(version, Message::PacketOut(out)) {
            prop_assert_eq!((read.in_port, read.frame), (OfPort(port), frame.clone()));
        }
        let full = form == PacketInForm::Nicira2;
        let packet = PacketIn {
            form,
            total_len_bytes: frame.len() as u32 + 9,
            frame: frame.clone(),
            buffer_id: None,
            reason: PacketInReason::Action,
            table: Some(flow.table),
            cookie: Some(flow.cookie),
            metadata: flow.matching.clone(),
            userdata: if full { userdata } else { Vec::new() },
            continuation: full.then(|| vec![1, 2, 3]),
        };
        let read = through(version, Message::PacketIn(packet.clone())).unwrap();
        let Message::PacketIn(read) = read else { panic!("{read:?}") };
        prop_assert_eq!(&read.frame, &frame);
        prop_assert_eq!(read.total_len_bytes, packet.total_len_bytes);
        if form != PacketInForm::Standard || version >= Version::OpenFlow13 {
            prop_assert_eq!(read, packet);
        }
    }
}

#[test]
fn many_flows_are_several_messages() {
    let text = "tcp,nw_src=10.0.0.1,actions=output:2";
    let flow = parse_flow(text, TextForm::Flow, &NoNames)
        .unwrap()
        .into_flow();
    let flow = Arc::new(flow);
    const FLOWS: usize = 5000;
    let record = || FlowRecord {
        flow: Arc::clone(&flow),
        stats: FlowStats::default(),
    };
    for version in Version::ALL {
        let reply = MultipartReply::Flow(FlowStatsReply {
            form: Form::Standard,
            flows: (0..FLOWS).map(|_| record()).collect(),
        });
        let envelope = Envelope {
            version,
            xid: 9,
            message: Message::Reply { reply, more: false },
        };
        let mut framer = Framer::new();
        framer.push(&encode(&envelope, CONTEXT).unwrap());
        let mut parts = Vec::new();
        while let Some(part) = framer.next_message().unwrap() {
            let part = decode(part, CONTEXT).unwrap();
            assert_eq!(part.xid, 9);
            let Message::Reply {
                reply: MultipartReply::Flow(read),
                more,
            } = part.message
            else {
                panic!("{version}: not flows");
            };
            parts.push((read.flows.len(), more));
        }
        let flows: usize = parts.iter().map(|(flows, _)| flows).sum();
        assert_eq!(flows, FLOWS, "{version}");
        assert!(parts.len() > 3, "{version}: {} parts", parts.len());
        let (_, more) = parts.pop().unwrap();
        assert!(!more && parts.iter().all(|(_, more)| *more), "{version}");
    }
}
