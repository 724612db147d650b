use aorta_flow::action::Controller;
use aorta_flow::action::{Action, PacketInReason};
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, FlowMod, GroupMod, MeterMod};
use aorta_flow::text::{
    Command, Form as TextForm, NoNames, parse_flow, parse_flow_line, parse_group,
};
use aorta_flow::{FlowKey, Match, OfPort, PacketIn};
use aorta_openflow::Version;
use aorta_openflow::message::{
    BundleAdd, BundleControl, BundleControlKind, BundleFlags, FlowFilter, FlowModMessage,
    FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest, FlowUpdate, Form, FragmentHandling,
    MultipartReply, MultipartRequest, PacketInForm, PacketInFormat, PacketOut, PortConfig,
    PortFeatures, PortMod, ReportedError, RoleRequest, SwitchConfig,
};
use tokio::sync::oneshot;

use super::*;
use crate::openflow::{Connected, Kind, Outbox};
use crate::reconcile::Upcall;
use crate::testing::{FakeDatapath, FakeHost, Rows, link};

struct Lab {
    switch: Switch<FakeHost, FakeDatapath>,
    outboxes: BTreeMap<u64, (Version, Outbox)>,
    xid: u32,
}

impl Lab {
    /// Bridge br0, which is secure, with ports p1 and p2.
    async fn new() -> Lab {
        let mut host = FakeHost::default();
        host.add(link(7, "p1"));
        host.add(link(8, "p2"));
        let actual = Actual::new("run-test".into());
        let mut switch = Switch::new(actual, host, FakeDatapath::default());
        let mut rows = Rows::default();
        let br0 = rows.bridge("br0");
        rows.model.bridges.get_mut(&br0).unwrap().secure = true;
        rows.simple(br0, "p1", "");
        rows.simple(br0, "p2", "");
        switch.model = rows.model;
        switch.read_devices().await.unwrap();
        switch.configure().await;
        Lab {
            switch,
            outboxes: BTreeMap::new(),
            xid: 100,
        }
    }

    async fn connect(&mut self, id: u64, kind: Kind, version: Version) {
        let outbox = Outbox::new();
        self.outboxes.insert(id, (version, outbox.clone()));
        let connected = Connected {
            id: ConnId(id),
            bridge: "br0".into(),
            version,
            kind,
            name: format!("br0<->{id}"),
            outbox,
        };
        self.switch
            .openflow(Order::Connected(Box::new(connected)))
            .await;
    }

    async fn controller(version: Version) -> Lab {
        let mut lab = Lab::new().await;
        lab.connect(1, Kind::Controller, version).await;
        lab
    }

    /// Sends messages at once; what comes back.
    async fn say(&mut self, id: u64, messages: Vec<Message>) -> Vec<Message> {
        let version = self.outboxes[&id].0;
        let mut incoming = Vec::new();
        for message in messages {
            self.xid += 1;
            let envelope = Envelope {
                version,
                xid: self.xid,
                message,
            };
            incoming.push(Incoming::Message(envelope, vec![self.xid as u8; 64].into()));
        }
        let (done, over) = oneshot::channel();
        let batch = Batch {
            conn: ConnId(id),
            messages: incoming,
            done,
        };
        self.switch.openflow(Order::Messages(batch)).await;
        assert!(over.await.is_err(), "it is dropped");
        self.heard(id)
    }

    /// What a connection has been told.
    fn heard(&self, id: u64) -> Vec<Message> {
        let taken = self.outboxes[&id].1.take(usize::MAX).into_iter();
        let message = |outgoing: Outgoing| match outgoing {
            Outgoing::Message(envelope) | Outgoing::PacketIn(envelope, _) => Some(envelope.message),
            _ => None,
        };
        taken.filter_map(message).collect()
    }

    fn port(&self, name: &str) -> OfPort {
        let ports = self.switch.openflow.bridges[&BridgeName::from("br0")]
            .ports
            .values();
        ports.clone().find(|port| port.name == name).unwrap().port
    }

    fn flows(&self) -> Vec<String> {
        self.switch.datapath.flows[&BridgeName::from("br0")].clone()
    }
}

fn flow_mod(line: &str) -> Message {
    let (command, text) = parse_flow_line(line, &NoNames).unwrap();
    Message::FlowMod(FlowModMessage {
        form: Form::Standard,
        change: FlowMod::from_text(command, text),
        buffer_id: None,
    })
}

fn delete_all() -> Message {
    Message::FlowMod(FlowModMessage {
        form: Form::Standard,
        change: FlowMod {
            command: Command::Delete,
            ..FlowMod::default()
        },
        buffer_id: None,
    })
}

fn actions(text: &str) -> Vec<Action> {
    let flow = parse_flow(&format!("actions={text}"), TextForm::Flow, &NoNames);
    flow.unwrap().into_flow().instructions.apply.clone()
}

/// What a message says, in a few words.
fn brief(message: &Message) -> String {
    match message {
        Message::Error(error) => match error.error {
            ReportedError::Known(code) => format!("{code} {}", error.data[0]),
            ReportedError::Unknown(_) => "another error".to_owned(),
        },
        Message::BarrierReply => "barrier".to_owned(),
        Message::BundleControl(control) => format!("{:?}", control.kind),
        Message::FlowRemoved(removed) => {
            format!("removed {} {:?}", removed.cookie, removed.n_packets)
        }
        Message::RoleReply(role) => format!("role {:?}", role.role),
        Message::RoleStatus(status) => format!("made {:?}", status.role),
        Message::PortStatus(status) => {
            format!(
                "{:?} {} {}",
                status.change, status.port.name, status.port.config.0
            )
        }
        Message::PacketIn(packet) => format!("{:?} {:?}", packet.form, packet.reason),
        Message::Reply {
            reply: MultipartReply::FlowMonitor(updates),
            ..
        } => {
            let update = |update: &FlowUpdate| match update {
                FlowUpdate::Full { event, flow } => format!("{event:?} {flow}"),
                other => format!("{other:?}"),
            };
            updates.iter().map(update).collect::<Vec<_>>().join("; ")
        }
        Message::Reply {
            reply: MultipartReply::Flow(stats),
            ..
        } => {
            let flow = |r: &aorta_openflow::message::FlowRecord| {
                format!("{} n={}", r.flow, r.stats.n_packets)
            };
            stats.flows.iter().map(flow).collect::<Vec<_>>().join("; ")
        }
        other => format!("{other:?}"),
    }
}

fn briefs(messages: &[Message]) -> Vec<String> {
    messages.iter().map(brief).collect()
}

#[tokio::test]
async fn changes_that_come_together_are_one_change_and_what_is_wrong_is_told_in_order() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    let before = lab.switch.datapath.flow_changes;
    let said = vec![
        flow_mod("in_port=1,actions=2"),
        flow_mod("in_port=2,actions=group:9"),
        flow_mod("in_port=3,actions=1"),
        Message::BarrierRequest,
        flow_mod("table=254,actions=1"),
        Message::BarrierRequest,
    ];
    let heard = lab.say(1, said).await;
    assert_eq!(
        briefs(&heard),
        [
            "OFPBAC_BAD_OUT_GROUP 102",
            "barrier",
            "OFPBRC_EPERM 105",
            "barrier"
        ]
    );
    assert_eq!(
        lab.flows(),
        ["in_port=1 actions=output:2", "in_port=3 actions=output:1"]
    );
    assert_eq!(lab.switch.datapath.flow_changes - before, 1);
}

#[tokio::test]
async fn what_the_datapath_refuses_is_nothing_to_the_others() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    lab.switch.datapath.refuses_flow = Some("actions=output:7".into());
    let said = [
        "in_port=1,actions=2",
        "in_port=2,actions=7",
        "in_port=3,actions=1",
    ];
    let heard = lab.say(1, said.map(flow_mod).into()).await;
    assert_eq!(briefs(&heard), ["OFPFMFC_TABLE_FULL 102"]);
    assert_eq!(lab.flows().len(), 2);
}

#[tokio::test]
async fn a_bundle_is_done_whole_or_not_at_all() {
    let mut lab = Lab::controller(Version::OpenFlow14).await;
    let flags = BundleFlags::ATOMIC;
    let control = |kind| Message::BundleControl(BundleControl { id: 5, kind, flags });
    let add = |xid, message| {
        Message::BundleAdd(Box::new(BundleAdd {
            id: 5,
            flags,
            message: Envelope {
                version: Version::OpenFlow14,
                xid,
                message,
            },
            quote: vec![77; 64],
        }))
    };
    let bundle = |lab: &Lab, last| {
        vec![
            control(BundleControlKind::OpenRequest),
            add(lab.xid + 2, flow_mod("in_port=1,actions=2")),
            add(lab.xid + 3, flow_mod(last)),
            control(BundleControlKind::CommitRequest),
        ]
    };
    let said = bundle(&lab, "in_port=2,actions=group:9");
    let heard = lab.say(1, said).await;
    let failed = format!("OFPBFC_MSG_FAILED {}", lab.xid);
    assert_eq!(
        briefs(&heard),
        ["OpenReply", "OFPBAC_BAD_OUT_GROUP 77", &failed]
    );
    assert!(lab.flows().is_empty());
    let before = lab.switch.datapath.flow_changes;
    let said = bundle(&lab, "in_port=2,actions=1");
    assert_eq!(
        briefs(&lab.say(1, said).await),
        ["OpenReply", "CommitReply"]
    );
    assert_eq!(lab.flows().len(), 2);
    assert_eq!(lab.switch.datapath.flow_changes - before, 1);
    let gone = lab
        .say(1, vec![control(BundleControlKind::CommitRequest)])
        .await;
    assert!(brief(&gone[0]).starts_with("OFPBFC_BAD_ID"));
}

#[tokio::test]
async fn there_is_one_primary_and_secondaries_only_look() {
    let mut lab = Lab::controller(Version::OpenFlow14).await;
    lab.connect(2, Kind::Controller, Version::OpenFlow13).await;
    let role = |role, generation_id| {
        Message::RoleRequest(RoleRequest {
            form: Form::Standard,
            role,
            generation_id,
        })
    };
    let heard = lab.say(1, vec![role(Role::Primary, Some(5))]).await;
    assert_eq!(briefs(&heard), ["role Primary"]);
    let heard = lab.say(2, vec![role(Role::Primary, Some(4))]).await;
    assert!(brief(&heard[0]).starts_with("OFPRRFC_STALE"));
    let heard = lab.say(2, vec![role(Role::Primary, Some(6))]).await;
    assert_eq!(briefs(&heard), ["role Primary"]);
    assert_eq!(briefs(&lab.heard(1)), ["made Secondary"]);
    let heard = lab
        .say(1, vec![flow_mod("actions=1"), Message::BarrierRequest])
        .await;
    assert!(brief(&heard[0]).starts_with("OFPBRC_IS_SLAVE"));
    assert_eq!(brief(&heard[1]), "barrier");
}

#[tokio::test]
async fn flows_that_go_are_told_with_what_they_counted() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    let flows = [
        "cookie=7,send_flow_rem,in_port=1,actions=2",
        "cookie=8,in_port=2,actions=1",
    ];
    lab.say(1, flows.map(flow_mod).into()).await;
    let counted = crate::reconcile::FlowCounters {
        packets: 3,
        bytes: 300,
        used: None,
    };
    lab.switch.datapath.counted.insert(FlowId(1), counted);
    let heard = lab
        .say(1, vec![delete_all(), Message::BarrierRequest])
        .await;
    assert_eq!(briefs(&heard), ["removed 7 Some(3)", "barrier"]);
}

#[tokio::test]
async fn monitors_tell_own_changes_by_their_transaction() {
    let mut lab = Lab::controller(Version::OpenFlow14).await;
    lab.connect(2, Kind::Service, Version::OpenFlow14).await;
    lab.say(1, vec![flow_mod("cookie=1,in_port=1,actions=2")])
        .await;
    let request = FlowMonitorRequest {
        id: 9,
        command: FlowMonitorCommand::Add,
        flags: FlowMonitorFlags(0x1f),
        out_port: None,
        out_group: None,
        table: None,
        matching: Match::default(),
    };
    let monitor = |flags| {
        Message::Request(MultipartRequest::FlowMonitor(vec![FlowMonitorRequest {
            flags,
            ..request.clone()
        }]))
    };
    let heard = lab.say(2, vec![monitor(request.flags)]).await;
    assert_eq!(
        briefs(&heard),
        ["Initial cookie=0x1, in_port=1 actions=output:2"]
    );
    assert!(
        brief(&lab.say(2, vec![monitor(request.flags)]).await[0])
            .starts_with("OFPMOFC_MONITOR_EXISTS")
    );
    lab.say(1, vec![flow_mod("cookie=2,in_port=2,actions=1")])
        .await;
    assert_eq!(
        briefs(&lab.heard(2)),
        ["Added cookie=0x2, in_port=2 actions=output:1"]
    );
    let own = lab
        .say(2, vec![delete_all(), Message::BarrierRequest])
        .await;
    let xid = lab.xid - 1;
    assert_eq!(
        briefs(&own),
        [
            format!("Abbreviated {{ xid: {xid} }}"),
            "barrier".to_owned()
        ]
    );
}

#[tokio::test]
async fn packets_of_controllers_leave_and_count() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    let (p1, p2) = (lab.port("p1"), lab.port("p2"));
    lab.say(
        1,
        vec![flow_mod(&format!(
            "in_port={},actions=output:{}",
            p1.0, p2.0
        ))],
    )
    .await;
    let send = |text: &str| {
        Message::PacketOut(PacketOut {
            buffer_id: None,
            in_port: p1,
            metadata: Match::default(),
            actions: actions(text),
            frame: vec![2; 60],
        })
    };
    let heard = lab
        .say(
            1,
            vec![
                send("FLOOD"),
                send("TABLE"),
                send("CONTROLLER"),
                send("group:4"),
            ],
        )
        .await;
    assert_eq!(
        briefs(&heard),
        [
            "Standard Action",
            &format!("OFPBAC_BAD_OUT_GROUP {}", lab.xid)
        ]
    );
    let sent = &lab.switch.datapath.sent;
    let ports: Vec<&str> = sent.iter().map(|output| output.port.as_str()).collect();
    assert_eq!(ports, ["br0", "p2", "p2"]);
    let all = FlowFilter {
        form: Form::Standard,
        table: None,
        out_port: None,
        out_group: None,
        cookie: None,
        matching: Match::default(),
    };
    let heard = lab
        .say(1, vec![Message::Request(MultipartRequest::Flow(all))])
        .await;
    assert!(brief(&heard[0]).ends_with("n=1"), "{heard:?}");
}

fn packet_in(id: u16) -> Upcall {
    let mut fields = FlowKey::new();
    fields.set(FieldId::IN_PORT, 1);
    fields.set(FieldId::reg(3), 5);
    Upcall::PacketIn(Box::new(PacketIn {
        bridge: "br0".into(),
        how: Controller {
            id,
            ..Controller::default()
        },
        table: 0,
        cookie: None,
        flow: Some(FlowId(1)),
        fields,
        frame: vec![1; 60],
        frame_bytes: 60,
        left: None,
        noted: None,
    }))
}

#[tokio::test]
async fn packets_come_to_who_is_meant_in_the_form_that_was_chosen() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    lab.connect(2, Kind::Service, Version::OpenFlow10).await;
    lab.say(1, vec![flow_mod("priority=0,actions=CONTROLLER")])
        .await;
    lab.switch.datapath.upcalls = vec![packet_in(0), packet_in(4)];
    assert!(lab.switch.take_upcalls());
    assert_eq!(
        briefs(&lab.heard(1)),
        ["Standard NoMatch"],
        "of the table-miss flow"
    );
    assert!(lab.heard(2).is_empty());
    let config = SwitchConfig {
        fragments: FragmentHandling::Normal,
        invalid_ttl_to_controller: None,
        miss_send_len_bytes: 128,
    };
    let said = vec![
        Message::SetConfig(config),
        Message::SetControllerId(4),
        Message::SetPacketInFormat(PacketInFormat::Nicira2),
    ];
    assert!(lab.say(2, said).await.is_empty());
    lab.switch.datapath.upcalls = vec![packet_in(0), packet_in(4)];
    lab.switch.take_upcalls();
    let heard = lab.heard(2);
    let [Message::PacketIn(packet)] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(
        (packet.form, packet.reason),
        (PacketInForm::Nicira2, PacketInReason::Action)
    );
    assert_eq!(packet.metadata.exact(FieldId::reg(3)), Some(5));
    assert_eq!(packet.metadata.exact(FieldId::IN_PORT), Some(1));
}

#[tokio::test]
async fn ports_are_changed_and_told() {
    let mut lab = Lab::controller(Version::OpenFlow15).await;
    let p1 = lab.port("p1");
    let known = lab.switch.openflow.bridges[&BridgeName::from("br0")].ports[&p1].clone();
    let ask = |hw_addr, config| {
        Message::PortMod(PortMod {
            port: p1,
            hw_addr,
            config,
            mask: config,
            advertise: PortFeatures::default(),
        })
    };
    let heard = lab
        .say(1, vec![ask(known.hw_addr, PortConfig::NO_FWD)])
        .await;
    assert_eq!(briefs(&heard), ["Modify p1 32"]);
    let newest = lab.switch.datapath.snapshots.last().unwrap();
    let port = newest.bridges[0]
        .ports
        .iter()
        .find(|port| port.ofport == p1);
    let expected = aorta_flow::Restrictions {
        no_forward: true,
        ..aorta_flow::Restrictions::default()
    };
    assert_eq!(port.map(|port| port.restrictions), Some(expected));
    let heard = lab.say(1, vec![ask(known.hw_addr, PortConfig::DOWN)]).await;
    assert_eq!(briefs(&heard), ["Modify p1 33"]);
    let other = aorta_packet::MacAddr([9; 6]);
    let heard = lab.say(1, vec![ask(other, PortConfig::DOWN)]).await;
    assert!(brief(&heard[0]).starts_with("OFPPMFC_BAD_HW_ADDR"));
}

#[tokio::test]
async fn groups_and_meters_are_added_and_forgotten() {
    let mut lab = Lab::controller(Version::OpenFlow13).await;
    let group = parse_group("group_id=4,type=all,bucket=output:2", &NoNames).unwrap();
    let said = vec![
        Message::GroupMod(GroupMod::Add(group.clone())),
        flow_mod("actions=group:4"),
        Message::GroupMod(GroupMod::Add(group)),
        Message::MeterMod(MeterMod::Delete(None)),
        Message::GroupMod(GroupMod::Delete(None)),
        Message::BarrierRequest,
    ];
    let heard = lab.say(1, said).await;
    assert_eq!(briefs(&heard), ["OFPGMFC_GROUP_EXISTS 103", "barrier"]);
    assert!(lab.flows().is_empty(), "flows go with their group");
}
