//! Requests whose answers may be long.

use aorta_flow::table::FlowMod;
use aorta_flow::text::Command;
use aorta_flow::{Flow, GroupKind, MeterId, OfPort};
use aorta_openflow::Message;
use aorta_openflow::Version;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{
    AggregateStats, FlowFilter, FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest,
    FlowRecord, FlowStatsReply, FlowUpdate, FlowUpdateEvent, GroupBucketStats, GroupFeatures,
    GroupStats, MeterBandStats, MeterFeatures, MeterStats, MultipartReply, MultipartRequest,
    SwitchDesc, TableFeatures, TableMiss, TableStats,
};

use super::*;
use crate::openflow::state::{Monitor, abilities, full, table};
use crate::reconcile::FlowCounters;
use aorta_api::Counted;
use aorta_flow::table::FlowId;

/// Bits of [`GroupFeatures::types`].
const GROUP_KINDS: [GroupKind; 4] = [
    GroupKind::All,
    GroupKind::Select,
    GroupKind::Indirect,
    GroupKind::FastFailover,
];
/// Meters that there can be.
const MAX_METERS: u32 = 262_144;
/// Bands of a meter that there can be.
const MAX_BANDS: u8 = 10;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Answers a request whose answer may be long.
    ///
    /// # Errors
    /// With what the other side is told.
    pub(super) async fn multipart(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        asked: MultipartRequest,
    ) -> Answer<()> {
        let reply = match asked {
            MultipartRequest::Desc => MultipartReply::Desc(Self::desc()),
            MultipartRequest::Flow(filter) => self.flow_stats(bridge, filter)?,
            MultipartRequest::Aggregate(filter) => self.aggregate(bridge, filter)?,
            MultipartRequest::Table => self.table_stats(request, bridge)?,
            MultipartRequest::Port(port) => self.port_stats(bridge, port).await?,
            MultipartRequest::Queue(filter) => self.queue_stats(bridge, filter).await?,
            MultipartRequest::Group(id) => self.group_stats(bridge, id)?,
            MultipartRequest::GroupDesc(id) => {
                let groups = self.tables_of(bridge)?.groups();
                let groups = groups.filter(|group| id.is_none_or(|id| id == group.id));
                MultipartReply::GroupDesc(groups.map(|group| (**group).clone()).collect())
            }
            MultipartRequest::GroupFeatures => {
                let version = self.connection(request.conn)?.version;
                MultipartReply::GroupFeatures(group_features(version))
            }
            MultipartRequest::Meter(id) => self.meter_stats(bridge, id)?,
            MultipartRequest::MeterConfig(id) => {
                self.check_meter(bridge, id)?;
                let meters = self.tables_of(bridge)?.meters();
                let meters = meters.filter(|meter| id.is_none_or(|id| id == meter.id));
                MultipartReply::MeterConfig(meters.map(|meter| (**meter).clone()).collect())
            }
            MultipartRequest::MeterFeatures => MultipartReply::MeterFeatures(MeterFeatures {
                max_meters: MAX_METERS,
                band_types: 0b110,
                capabilities: 0xf,
                max_bands: MAX_BANDS,
                max_color: 0,
            }),
            MultipartRequest::TableFeatures(wanted) => {
                if !wanted.tables.is_empty() || wanted.more {
                    return Err(ErrorCode::OFPTFFC_EPERM);
                }
                let version = self.connection(request.conn)?.version;
                let settings = self.openflow.bridge(bridge).tables.clone();
                let tables = self.tables_of(bridge)?;
                let all = table::numbers().map(|n| table::features(n, tables, &settings, version));
                MultipartReply::TableFeatures(all.collect())
            }
            MultipartRequest::PortDesc(port) => {
                let ports = self.openflow.bridge(bridge).ports.values();
                let ports = ports.filter(|desc| port == OfPort::ANY || port == desc.port);
                MultipartReply::PortDesc(ports.cloned().collect())
            }
            MultipartRequest::TableDesc => {
                let settings = self.openflow.bridge(bridge).tables.clone();
                let tables = self.tables_of(bridge)?;
                let all = table::numbers().map(|n| settings.desc(n, tables));
                MultipartReply::TableDesc(all.collect())
            }
            MultipartRequest::QueueDesc(filter) => {
                MultipartReply::QueueDesc(self.queue_descs(bridge, filter).await?)
            }
            MultipartRequest::FlowMonitor(monitors) => self.monitor(request, bridge, &monitors)?,
            MultipartRequest::IpfixBridge | MultipartRequest::IpfixFlow => {
                return Err(ErrorCode::NXST_NOT_CONFIGURED);
            }
        };
        let message = Message::Reply { reply, more: false };
        self.reply(request, message);
        Ok(())
    }

    pub(super) fn tables_of(&self, bridge: &BridgeName) -> Answer<&aorta_flow::table::Tables> {
        let flows = self.flows.get(bridge).ok_or(ErrorCode::OFPBRC_EPERM)?;
        Ok(flows.tables.tables())
    }

    fn desc() -> SwitchDesc {
        SwitchDesc {
            // Clients know what to expect of a switch by these names.
            manufacturer: "Nicira, Inc.".to_owned(),
            hardware: "Open vSwitch".to_owned(),
            software: format!("Aorta {}", env!("CARGO_PKG_VERSION")),
            serial: "None".to_owned(),
            description: "None".to_owned(),
        }
    }

    fn counters_for(&self, bridge: &BridgeName) -> HashMap<FlowId, FlowCounters> {
        self.counters_of(bridge).unwrap_or_else(|error| {
            warn!("{bridge}: what flows counted isn't known: {error}");
            HashMap::new()
        })
    }

    fn flow_stats(&self, bridge: &BridgeName, filter: FlowFilter) -> Answer<MultipartReply> {
        let form = filter.form;
        let flows = self.flows.get(bridge).ok_or(ErrorCode::OFPBRC_EPERM)?;
        let counters = self.counters_for(bridge);
        let records = flows
            .tables
            .records(&selection(filter), &counters, clock::now());
        let records = records.into_iter();
        let flows = records.map(|(flow, stats)| FlowRecord { flow, stats });
        Ok(MultipartReply::Flow(FlowStatsReply {
            form,
            flows: flows.collect(),
        }))
    }

    fn aggregate(&self, bridge: &BridgeName, filter: FlowFilter) -> Answer<MultipartReply> {
        let form = filter.form;
        let counters = self.counters_for(bridge);
        let chosen = self.tables_of(bridge)?.selected(&selection(filter));
        let mut all = Counted::default();
        for entry in &chosen {
            let counted = counters.get(&entry.id).copied().unwrap_or_default();
            all.packets += counted.packets;
            all.bytes += counted.bytes;
        }
        Ok(MultipartReply::Aggregate(AggregateStats {
            form,
            n_packets: Some(all.packets),
            n_bytes: Some(all.bytes),
            n_flows: u32::try_from(chosen.len()).unwrap_or(u32::MAX),
        }))
    }

    fn table_stats(&mut self, request: Request<'_>, bridge: &BridgeName) -> Answer<MultipartReply> {
        let version = self.connection(request.conn)?.version;
        let counters = self.counters_for(bridge);
        let settings = self.openflow.bridge(bridge).tables.clone();
        let tables = self.tables_of(bridge)?;
        let stats = |number: u8| {
            let entries = tables.table(number).into_iter().flat_map(|t| t.entries());
            let counted = entries.filter_map(|entry| counters.get(&entry.id));
            let matched = counted.map(|counted| counted.packets).sum();
            TableStats {
                table: number,
                // Packets that find no flow are counted as drops, by port.
                lookup_count: matched,
                matched_count: matched,
                active_count: tables.table(number).map_or(0, |table| table.len()) as u32,
                // Told to OpenFlow 1.2, where misses go to controllers unless they say otherwise.
                features: TableFeatures {
                    miss_config: match settings.miss(number) {
                        TableMiss::Default => TableMiss::Controller,
                        other => other,
                    },
                    ..table::features(number, tables, &settings, version)
                },
            }
        };
        Ok(MultipartReply::Table(table::numbers().map(stats).collect()))
    }

    fn group_stats(&self, bridge: &BridgeName, id: Option<u32>) -> Answer<MultipartReply> {
        let flows = self.flows.get(bridge).ok_or(ErrorCode::OFPBRC_EPERM)?;
        let counters = self.datapath.group_counters(bridge).unwrap_or_default();
        let dumped = flows.tables.dump_groups(id, &counters, clock::now());
        let bucket = |counted: &Counted| GroupBucketStats {
            n_packets: Some(counted.packets),
            n_bytes: Some(counted.bytes),
        };
        let stats = dumped.into_iter().map(|dumped| GroupStats {
            id: dumped.group.id,
            ref_count: u32::try_from(dumped.flows).unwrap_or(u32::MAX),
            n_packets: Some(dumped.counters.packets),
            n_bytes: Some(dumped.counters.bytes),
            duration: Some(Duration::from_millis(dumped.duration_ms)),
            buckets: dumped.buckets.iter().map(bucket).collect(),
        });
        Ok(MultipartReply::Group(stats.collect()))
    }

    fn check_meter(&self, bridge: &BridgeName, id: Option<MeterId>) -> Answer<()> {
        let tables = self.tables_of(bridge)?;
        match id.is_none_or(|id| tables.meter(id).is_some()) {
            true => Ok(()),
            false => Err(ErrorCode::OFPMMFC_UNKNOWN_METER),
        }
    }

    fn meter_stats(&self, bridge: &BridgeName, id: Option<MeterId>) -> Answer<MultipartReply> {
        self.check_meter(bridge, id)?;
        let flows = self.flows.get(bridge).ok_or(ErrorCode::OFPBRC_EPERM)?;
        let states = self.datapath.meter_states(bridge);
        let dumped = flows.tables.dump_meters(id, &states, clock::now());
        let band = |counted: &Counted| MeterBandStats {
            packet_count: counted.packets,
            byte_count: counted.bytes,
        };
        let stats = dumped.into_iter().map(|dumped| MeterStats {
            id: dumped.meter.id,
            flow_count: u32::try_from(dumped.flows).unwrap_or(u32::MAX),
            packet_in_count: dumped.counters.packets,
            byte_in_count: dumped.counters.bytes,
            duration: Duration::from_millis(dumped.duration_ms),
            bands: dumped.bands.iter().map(band).collect(),
        });
        Ok(MultipartReply::Meter(stats.collect()))
    }

    /// Begins, changes or ends monitors; the flows that there are, for those that ask for them.
    fn monitor(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        monitors: &[FlowMonitorRequest],
    ) -> Answer<MultipartReply> {
        let mut begun = Vec::new();
        let connection = self.connection_mut(request.conn)?;
        for wanted in monitors {
            let known = connection.monitors.contains_key(&wanted.id);
            match wanted.command {
                FlowMonitorCommand::Add if known => {
                    return Err(ErrorCode::OFPMOFC_MONITOR_EXISTS);
                }
                FlowMonitorCommand::Modify | FlowMonitorCommand::Delete if !known => {
                    return Err(ErrorCode::OFPMOFC_UNKNOWN_MONITOR);
                }
                FlowMonitorCommand::Delete => drop(connection.monitors.remove(&wanted.id)),
                FlowMonitorCommand::Add | FlowMonitorCommand::Modify => {
                    let monitor = Monitor::new(wanted);
                    connection.monitors.insert(wanted.id, monitor.clone());
                    begun.push(monitor);
                }
            }
        }
        Ok(MultipartReply::FlowMonitor(self.initial(bridge, &begun)?))
    }

    /// The flows that monitors want to be told of at first, each once.
    fn initial(&self, bridge: &BridgeName, monitors: &[Monitor]) -> Answer<Vec<FlowUpdate>> {
        let tables = self.tables_of(bridge)?;
        let wants = |monitor: &&Monitor| monitor.flags.contains(FlowMonitorFlags::INITIAL);
        let mut chosen: BTreeMap<FlowId, (Arc<Flow>, FlowMonitorFlags)> = BTreeMap::new();
        for monitor in monitors.iter().filter(wants) {
            for entry in tables.selected(&monitor.selection()) {
                let known = chosen
                    .entry(entry.id)
                    .or_insert_with(|| (entry.flow.clone(), FlowMonitorFlags::default()));
                known.1 = known.1.with(monitor.flags);
            }
        }
        let told = chosen.into_values();
        Ok(told
            .map(|(flow, flags)| full(FlowUpdateEvent::Initial, &flow, flags))
            .collect())
    }
}

/// Flows that a filter is about.
fn selection(filter: FlowFilter) -> FlowMod {
    FlowMod {
        command: Command::Delete,
        table: filter.table,
        cookie: filter.cookie,
        out_port: filter.out_port,
        out_group: filter.out_group,
        flow: Flow {
            matching: filter.matching,
            ..Flow::default()
        },
        ..FlowMod::default()
    }
}

/// What is possible with groups: all kinds, weights, liveness, and groups that lead to others.
fn group_features(version: Version) -> GroupFeatures {
    GroupFeatures {
        types: (1 << GROUP_KINDS.len()) - 1,
        capabilities: 0x7,
        max_groups: [aorta_flow::Group::MAX_ID; 4],
        actions: [abilities::actions(version); 4],
    }
}
