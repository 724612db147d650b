//! Short requests and their answers.

use aorta_openflow::Message;
use aorta_openflow::Version;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{
    Capabilities, Features, Form, FragmentHandling, Role, RoleReason, RoleRequest, RoleStatus,
    SwitchConfig, TableMod,
};

use super::*;
use crate::openflow::state::table;
use crate::reconcile::{bridge_mac, datapath_id};

/// The actions of OpenFlow 1.0 that there are, by their numbers: all of them.
const ACTIONS_OF_10: u32 = 0xfff;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Answers a request, or does what it says.
    ///
    /// # Errors
    /// With what the other side is told.
    pub(super) async fn request(&mut self, request: Request<'_>, message: Message) -> Answer<()> {
        let bridge = self.bridge_of(request.conn)?;
        match message {
            Message::EchoRequest(data) => self.reply(request, Message::EchoReply(data)),
            Message::BarrierRequest => self.reply(request, Message::BarrierReply),
            Message::FeaturesRequest => self.features(request, &bridge)?,
            Message::GetConfigRequest => self.get_config(request, &bridge)?,
            Message::SetConfig(config) => self.set_config(request, &bridge, config)?,
            // One that names a buffer, of which there are none.
            Message::FlowMod(_) => return Err(ErrorCode::OFPBRC_BUFFER_UNKNOWN),
            Message::PortMod(port_mod) => self.port_mod(&bridge, &port_mod, request.conn).await?,
            Message::TableMod(table_mod) => self.table_mod(&bridge, &table_mod)?,
            Message::PacketOut(packet) => self.packet_out(&bridge, packet)?,
            Message::Resume(packet) => self.resume(&bridge, &packet)?,
            Message::RoleRequest(role) => self.role(request, &bridge, role)?,
            Message::GetAsyncRequest => {
                let config = self.connection(request.conn)?.async_config();
                self.reply(request, Message::GetAsyncReply(config));
            }
            Message::SetAsync(config) => self.connection_mut(request.conn)?.set_async(&config),
            Message::BundleControl(control) => self.control_bundle(request, control).await?,
            Message::BundleAdd(add) => self.add_to_bundle(request, *add)?,
            Message::Request(asked) => self.multipart(request, &bridge, asked).await?,
            Message::QueueGetConfigRequest(port) => self.queues_of(request, &bridge, port).await?,
            Message::SetPacketInFormat(format) => {
                self.connection_mut(request.conn)?.packet_in_format = format;
            }
            Message::SetControllerId(id) => self.connection_mut(request.conn)?.controller_id = id,
            Message::TlvTableMod(change) => {
                self.openflow.bridge(&bridge).options.change(&change)?;
                let lengths = self.openflow.bridge(&bridge).options.lengths();
                for connection in self.openflow.of_bridge(&bridge) {
                    connection.send(Outgoing::TunnelOptions(Box::new(lengths)));
                }
            }
            Message::TlvTableRequest => {
                let table = self.openflow.bridge(&bridge).options.table();
                self.reply(request, Message::TlvTableReply(table));
            }
            Message::FlowMonitorCancel(id) => {
                let monitors = &mut self.connection_mut(request.conn)?.monitors;
                let known = monitors.remove(&id);
                known.ok_or(ErrorCode::OFPMOFC_UNKNOWN_MONITOR)?;
            }
            // Sent by who has nothing to do with them any more; and of what every flow is told by.
            Message::SetFlowFormat(_) | Message::FlowModTableId(_) | Message::FlowAge => {}
            // Nothing tracks connections, so there are none to be forgotten.
            Message::CtFlushZone(_) | Message::CtFlush(_) => {}
            Message::Error(_) | Message::EchoReply(_) | Message::Hello(_) => {}
            _ => return Err(ErrorCode::OFPBRC_BAD_TYPE),
        }
        Ok(())
    }

    fn features(&mut self, request: Request<'_>, bridge: &BridgeName) -> Answer<()> {
        let datapath_id = self.number_of(bridge);
        let ports = self.openflow.bridge(bridge).ports.values().cloned();
        let features = Features {
            datapath_id,
            n_buffers: 0,
            n_tables: table::numbers().count() as u8,
            auxiliary_id: 0,
            capabilities: Capabilities::FLOW_STATS
                .with(Capabilities::TABLE_STATS)
                .with(Capabilities::PORT_STATS)
                .with(Capabilities::QUEUE_STATS)
                .with(Capabilities::GROUP_STATS)
                .with(Capabilities::ARP_MATCH_IP)
                .with(Capabilities::BUNDLES),
            actions: ACTIONS_OF_10,
            ports: ports.collect(),
        };
        self.reply(request, Message::FeaturesReply(features));
        Ok(())
    }

    /// A bridge's datapath id.
    fn number_of(&self, name: &BridgeName) -> u64 {
        let mut bridges = self.desired.bridges.iter();
        let bridge = bridges.find(|bridge| bridge.name == *name);
        let id = bridge.map(|bridge| datapath_id(bridge, bridge_mac(bridge, &self.actual)));
        id.and_then(|id| u64::from_str_radix(&id, 16).ok())
            .unwrap_or(0)
    }

    fn get_config(&mut self, request: Request<'_>, bridge: &BridgeName) -> Answer<()> {
        let fragments = self.openflow.bridge(bridge).fragments;
        let connection = self.connection(request.conn)?;
        let tells_ttl = matches!(
            connection.version,
            Version::OpenFlow11 | Version::OpenFlow12
        );
        let config = SwitchConfig {
            fragments,
            invalid_ttl_to_controller: tells_ttl.then(|| connection.invalid_ttl()),
            miss_send_len_bytes: connection.miss_send_len_bytes,
        };
        self.reply(request, Message::GetConfigReply(config));
        Ok(())
    }

    fn set_config(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        config: SwitchConfig,
    ) -> Answer<()> {
        let connection = self.connection_mut(request.conn)?;
        connection.miss_send_len_bytes = config.miss_send_len_bytes;
        if let Some(wanted) = config.invalid_ttl_to_controller {
            connection.set_invalid_ttl(wanted);
        }
        let secondary = connection.role == Role::Secondary;
        let known = &mut self.openflow.bridge(bridge).fragments;
        if secondary || config.fragments == *known {
            return Ok(());
        }
        if config.fragments == FragmentHandling::Reassemble {
            warn!("{bridge}: fragments are not put together: that can't be configured");
            return Ok(());
        }
        *known = config.fragments;
        Ok(())
    }

    fn table_mod(&mut self, bridge: &BridgeName, change: &TableMod) -> Answer<()> {
        if change
            .table
            .is_some_and(|t| t > aorta_flow::table::MAX_TABLE)
        {
            return Err(ErrorCode::OFPTMFC_BAD_TABLE);
        }
        if let Some(vacancy) = change.vacancy
            && vacancy.enabled
            && vacancy.down_percent > vacancy.up_percent
        {
            return Err(ErrorCode::OFPBPC_BAD_VALUE);
        }
        let Some(flows) = self.flows.get(bridge) else {
            return Err(ErrorCode::OFPTMFC_EPERM);
        };
        let state = self.openflow.bridges.entry(bridge.clone()).or_default();
        let limits = state.tables.change(change, flows.tables.tables());
        self.limit_tables(bridge, limits).map_err(|error| {
            warn!("{bridge}: flows that a table has no room for stay: {error}");
            ErrorCode::OFPTMFC_EPERM
        })
    }

    fn role(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        asked: RoleRequest,
    ) -> Answer<()> {
        if asked.role != Role::NoChange {
            if let Some(generation) = asked.generation_id
                && asked.role != Role::Equal
            {
                self.openflow.bridge(bridge).elect(generation)?;
            }
            if asked.role == Role::Primary {
                self.demote_others(request.conn, bridge);
            }
            let connection = self.connection_mut(request.conn)?;
            connection.set_role(asked.role);
        }
        let role = self.connection(request.conn)?.role;
        let generation_id = match asked.form {
            Form::Standard => self.openflow.bridge(bridge).generation,
            Form::Nicira => None,
        };
        let reply = RoleRequest {
            form: asked.form,
            role,
            generation_id,
        };
        self.reply(request, Message::RoleReply(reply));
        Ok(())
    }

    /// There is one primary: who was it becomes a secondary, and is told.
    fn demote_others(&mut self, conn: ConnId, bridge: &BridgeName) {
        let generation_id = self.openflow.bridge(bridge).generation;
        for connection in self.openflow.connections.values_mut() {
            let demoted = connection.role == Role::Primary
                && connection.id != conn
                && connection.bridge == *bridge;
            if demoted {
                connection.set_role(Role::Secondary);
                connection.tell(Message::RoleStatus(RoleStatus {
                    role: Role::Secondary,
                    reason: RoleReason::PrimaryRequest,
                    generation_id,
                }));
            }
        }
    }
}
