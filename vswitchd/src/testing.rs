//! Values and fakes for tests.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::BorrowedFd;

use aorta_api::FlowExplain;
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{BridgeName, IfIndex, MeterId, Output, PortName, Snapshot};
use aorta_kernel::netdev::{
    DeviceRef, HardwareInfo, Link, LinkEvent, LinkStats, OperState, VethPair,
};
use aorta_ovsdb::Uuid;
use aorta_packet::MacAddr;

use crate::reconcile::{
    Applied, Counters, Datapath, DatapathError, Effect, EffectError, Effects, Fdb, FlowCounters,
    Hook, Upcall,
};

use crate::config::{
    AllOfPorts, BridgeRow, Desired, InterfaceGuard, InterfaceRow, Model, OpenVswitchRow,
    PortLimits, PortRow, desired,
};

/// A NIC that is up.
pub fn link(ifindex: u32, name: &str) -> Link {
    Link {
        ifindex: IfIndex::new(ifindex).unwrap(),
        name: name.into(),
        kind: None,
        up: true,
        running: true,
        loopback: false,
        promisc: false,
        carrier: true,
        operstate: OperState::Up,
        mtu: 1500,
        mac: Some(MacAddr([2, 0, 0, 0, 0, ifindex as u8])),
        master: None,
        alias: None,
        peer: None,
        peer_netns: None,
        stats: LinkStats::default(),
    }
}

/// Builds rows without a database.
#[derive(Default)]
pub struct Rows {
    pub model: Model,
    pub next: u128,
}

impl Rows {
    pub fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    pub fn bridge(&mut self, name: &str) -> Uuid {
        let uuid = self.id();
        let row = BridgeRow {
            uuid,
            name: name.into(),
            ports: vec![],
            hwaddr: None,
            datapath_id: None,
            mac_aging_time: None,
            mac_table_size: None,
            forward_bpdu: false,
            secure: false,
            protocols: vec![],
            controllers: vec![],
            flow_tables: BTreeMap::new(),
            offload_pin: None,
            offload_exclude: None,
        };
        self.model.bridges.insert(uuid, row);
        let root = self.model.root.get_or_insert(OpenVswitchRow {
            uuid: Uuid::nil(),
            bridges: vec![],
            next_cfg: 0,
            cur_cfg: 0,
            stats_interval_ms: None,
            restore_wait: false,
            hw_offload: None,
            tc_policy: None,
        });
        root.bridges.push(uuid);
        uuid
    }

    pub fn interface(&mut self, name: &str, kind: &str) -> InterfaceRow {
        InterfaceRow {
            uuid: self.id(),
            name: name.into(),
            kind: kind.into(),
            peer: None,
            mac: None,
            ofport: None,
            ofport_request: None,
            mtu_request: None,
            hook: None,
            attached_mac: None,
            offload: None,
            guard: InterfaceGuard::default(),
            options: BTreeMap::new(),
        }
    }

    pub fn port(&mut self, bridge: Uuid, interfaces: Vec<InterfaceRow>) -> Uuid {
        let uuid = self.id();
        let row = PortRow {
            priority_tags: aorta_flow::PriorityTags::Never,
            uuid,
            name: interfaces[0].name.clone(),
            interfaces: interfaces.iter().map(|i| i.uuid).collect(),
            tag: None,
            trunks: vec![],
            vlan_mode: None,
            limits: PortLimits::default(),
            qos: None,
        };
        self.model.ports.insert(uuid, row);
        self.model
            .interfaces
            .extend(interfaces.into_iter().map(|i| (i.uuid, i)));
        self.model
            .bridges
            .get_mut(&bridge)
            .unwrap()
            .ports
            .push(uuid);
        uuid
    }

    pub fn simple(&mut self, bridge: Uuid, name: &str, kind: &str) -> Uuid {
        let interface = self.interface(name, kind);
        self.port(bridge, vec![interface])
    }

    pub fn desired(&self) -> Desired {
        desired(&self.model, &AllOfPorts::new()).0
    }
}

/// Devices in memory.
#[derive(Default)]
pub struct FakeHost {
    /// What there is.
    pub links: BTreeMap<u32, Link>,
    /// What was done, in order.
    pub done: Vec<Effect>,
    /// How often the whole list was read.
    pub dumps: usize,
    /// Names of devices that refuse every change.
    pub broken: BTreeSet<String>,
    /// Bits a second of all NICs.
    pub speed_bps: Option<u64>,
}

impl FakeHost {
    /// Adds a device.
    pub fn add(&mut self, link: Link) {
        self.links.insert(link.ifindex.get(), link);
    }

    fn change(&mut self, device: &DeviceRef, change: impl FnOnce(&mut Link)) -> Vec<LinkEvent> {
        let Some(link) = self.links.get_mut(&device.ifindex.get()) else {
            return Vec::new();
        };
        change(link);
        vec![LinkEvent::Changed(Box::new(link.clone()))]
    }

    fn create(&mut self, pair: &VethPair) -> Vec<LinkEvent> {
        let next = self.links.keys().max().map_or(100, |n| n + 1);
        let mut host = Link {
            mtu: pair.mtu,
            up: false,
            ..link(next, &pair.host)
        };
        let mut hidden = Link {
            mtu: pair.mtu,
            ..link(next + 1, &pair.hidden)
        };
        (host.kind, hidden.kind) = (Some("veth".into()), Some("veth".into()));
        (host.peer, hidden.peer) = (Some(hidden.ifindex), Some(host.ifindex));
        host.mac = pair.host_mac;
        hidden.alias = Some(pair.hidden_alias.clone());
        self.add(host.clone());
        self.add(hidden.clone());
        [host, hidden]
            .map(|l| LinkEvent::Changed(Box::new(l)))
            .into()
    }
}

impl Effects for FakeHost {
    async fn run(&mut self, effect: &Effect) -> Result<Vec<LinkEvent>, EffectError> {
        self.done.push(effect.clone());
        if let Some(name) = self
            .broken
            .iter()
            .find(|name| format!("{effect:?}").contains(*name))
        {
            return Err(EffectError::Fake(format!("{name}: cannot: broken")));
        }
        Ok(match effect {
            Effect::CreatePair(pair) => self.create(pair),
            Effect::DeletePair(device) => {
                let peer = self
                    .links
                    .remove(&device.ifindex.get())
                    .and_then(|l| l.peer);
                let ends: Vec<_> = [Some(device.ifindex), peer].into_iter().flatten().collect();
                ends.iter()
                    .for_each(|end| drop(self.links.remove(&end.get())));
                ends.into_iter().map(LinkEvent::Gone).collect()
            }
            Effect::Mark(device, alias) => self.change(device, |link| {
                link.alias = Some(alias.clone());
                link.up = true;
            }),
            Effect::SetMtu(device, mtu) => self.change(device, |link| link.mtu = *mtu),
            Effect::SetMac(device, mac) => self.change(device, |link| link.mac = Some(*mac)),
            Effect::SetUp(device, up) => self.change(device, |link| link.up = *up),
            Effect::BeginPromisc(device) => self.change(device, |link| link.promisc = true),
            Effect::Shape(..)
            | Effect::EndPromisc(_, None)
            | Effect::MakeDummy(..)
            | Effect::DropDummy(_) => Vec::new(),
            Effect::EndPromisc(_, Some(device)) => self.change(device, |link| link.promisc = false),
        })
    }

    async fn link(&mut self, name: &str) -> Result<Option<Link>, EffectError> {
        Ok(self.links.values().find(|link| link.name == name).cloned())
    }

    async fn links(&mut self) -> Result<Vec<Link>, EffectError> {
        self.dumps += 1;
        Ok(self.links.values().cloned().collect())
    }

    fn hardware(&mut self, _: &str) -> HardwareInfo {
        HardwareInfo {
            driver: Some("fake".into()),
            speed_bps: self.speed_bps,
            ..HardwareInfo::default()
        }
    }
}

/// Takes every snapshot and remembers it.
#[derive(Default)]
pub struct FakeDatapath {
    /// The snapshots, newest last.
    pub snapshots: Vec<Snapshot>,
    /// Ports that can't be attached.
    pub failing: BTreeMap<PortName, String>,
    /// Refuses everything, with this reason.
    pub refuses: Option<String>,
    /// Flows of each bridge, as texts.
    pub flows: BTreeMap<BridgeName, Vec<String>>,
    /// What meters have counted.
    pub meters: BTreeMap<MeterId, MeterState>,
    /// What packets ask for.
    pub upcalls: Vec<Upcall>,
    /// Frames that were sent.
    pub sent: Vec<Output>,
    /// Bridges whose addresses were forgotten.
    pub flushed: Vec<BridgeName>,
    /// Numbers of rules that were adopted.
    pub adopted: BTreeMap<BridgeName, HashMap<FlowId, u32>>,
    /// What packets did to flows.
    pub counted: HashMap<FlowId, FlowCounters>,
    /// How often the flows' counters were read.
    pub counter_reads: Cell<usize>,
    /// How often flows were changed.
    pub flow_changes: usize,
    /// Refuses tables with a flow whose text has this in it.
    pub refuses_flow: Option<String>,
    /// Refuses all flows, with this reason.
    pub refuses_flows: Option<String>,
}

impl Datapath for FakeDatapath {
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        if let Some(why) = &self.refuses {
            return Err(DatapathError(why.clone()));
        }
        self.snapshots.push(snapshot.clone());
        let ports = snapshot.bridges.iter().flat_map(|b| &b.ports);
        let hook = Hook {
            name: "tcx".into(),
            reason: "a test".into(),
        };
        Ok(Applied {
            failed: self.failing.clone(),
            hooks: ports.map(|p| (p.name.clone(), hook.clone())).collect(),
        })
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        Ok(BTreeMap::new())
    }

    fn fdb(&self, _: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        Ok(Vec::new())
    }

    fn flush_fdb(&mut self, bridge: &BridgeName) -> Result<(), DatapathError> {
        self.flushed.push(bridge.clone());
        Ok(())
    }

    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        _changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        if let Some(why) = &self.refuses_flows {
            return Err(DatapathError(why.clone()));
        }
        let flows = tables.flows().map(|entry| entry.flow.to_string());
        let flows: Vec<String> = flows.collect();
        if let Some(word) = &self.refuses_flow
            && flows.iter().any(|flow| flow.contains(word))
        {
            return Err(DatapathError(format!("{word} is refused")));
        }
        self.flow_changes += 1;
        self.flows.insert(bridge.clone(), flows);
        Ok(())
    }

    fn adopt_flows(&mut self, bridge: &BridgeName, rules: HashMap<FlowId, u32>) {
        self.adopted.insert(bridge.clone(), rules);
    }

    fn flow_rule(&self, _: &BridgeName, flow: FlowId) -> Option<u32> {
        Some(1000 + flow.0 as u32)
    }

    fn flow_counters(
        &self,
        _: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        self.counter_reads.set(self.counter_reads.get() + 1);
        Ok(self.counted.clone())
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        std::mem::take(&mut self.upcalls)
    }

    fn send(&mut self, frames: &[Output]) {
        self.sent.extend_from_slice(frames);
    }

    fn meter_states(&self, _: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        self.meters.clone()
    }

    fn explain(&self, _: &BridgeName) -> Result<FlowExplain, DatapathError> {
        Ok(FlowExplain {
            hook: "tcx".into(),
            why: "a test".into(),
            ..FlowExplain::default()
        })
    }
}
