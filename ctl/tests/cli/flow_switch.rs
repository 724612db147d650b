//! A management API whose flow tables are values: what `vsctl` sends is done as the switch does it.

use std::path::Path;
use std::sync::Mutex;

use aorta_api::{
    BridgeStatus, ERROR_FLOW_TABLE, ERROR_NO_BRIDGE, EntryCommand, EntryModAnswer, EntryModParams,
    FlowCommand, FlowDump, FlowDumpParams, FlowEntry, FlowModAnswer, FlowModParams,
    FlowReplaceAnswer, FlowReplaceParams, METHOD_FLOW_DUMP, METHOD_FLOW_EXPLAIN, METHOD_FLOW_MOD,
    METHOD_FLOW_REPLACE, METHOD_FLOW_TRACE, METHOD_GROUP_MOD, METHOD_STATUS, SOCKET_NAME, Status,
    TableFault,
};
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{
    Command, Form, Names, NoNames, Shown, parse_flow, parse_flow_line, show_flow,
};
use aorta_flow::{Flow, FlowFlags, OfPort};
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, serve, stop_channel};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::{Value, json};
use tokio::net::UnixListener;

/// Ports `p1` to `p3` and `br0` of bridge `br0`.
struct Ports;

impl Names for Ports {
    fn port(&self, name: &str) -> Option<OfPort> {
        match name {
            "br0" => Some(OfPort::LOCAL),
            name => (1..=3).map(OfPort).find(|port| port_name(*port) == name),
        }
    }

    fn port_name(&self, port: OfPort) -> Option<&str> {
        ["p1", "p2", "eth-3"]
            .get(usize::from(port.0).wrapping_sub(1))
            .copied()
    }
}

fn port_name(port: OfPort) -> String {
    Ports.port_name(port).unwrap_or_default().to_owned()
}

fn status() -> Status {
    let port = |ofport: i32, name: &str| {
        json!({"name": name, "ofport": ofport, "kind": "system", "hook": "tcx", "reason": "",
               "ifindex": 3, "rx_packets": ofport, "rx_bytes": 0, "tx_packets": 0, "tx_bytes": 0,
               "drops": {}})
    };
    let ports = [
        port(65534, "br0"),
        port(1, "p1"),
        port(2, "p2"),
        port(3, "eth-3"),
    ];
    let bridge =
        json!({"name": "br0", "fdb_entries": 0, "fdb_size": 1, "flows": 0, "ports": ports});
    let bridge: BridgeStatus = serde_json::from_value(bridge).unwrap();
    Status {
        version: "9.9".into(),
        pid: 42,
        uptime_s: 5,
        datapath: "sim".into(),
        problems: vec![],
        bridges: vec![bridge],
    }
}

/// What it was asked, and its tables.
#[derive(Default)]
pub struct State {
    tables: Tables,
    /// The groups' changes that came.
    pub group_mods: Vec<EntryModParams>,
    /// Calls that changed flows.
    pub calls: usize,
}

type Shared = std::sync::Arc<Mutex<State>>;

fn known(bridge: &str) -> Result<(), ErrorObjectOwned> {
    match bridge {
        "br0" => Ok(()),
        _ => Err(ErrorObjectOwned::owned(
            ERROR_NO_BRIDGE,
            "no such bridge",
            None::<()>,
        )),
    }
}

fn command(asked: FlowCommand, line: &str) -> (Command, Form) {
    match asked {
        FlowCommand::Add => (parse_flow_line(line, &Ports).unwrap().0, Form::Flow),
        FlowCommand::Modify => (Command::Modify, Form::Modify),
        FlowCommand::ModifyStrict => (Command::ModifyStrict, Form::Modify),
        FlowCommand::Delete => (Command::Delete, Form::Filter),
        FlowCommand::DeleteStrict => (Command::DeleteStrict, Form::Filter),
    }
}

fn flow_mod(params: &Params<'_>, state: &Shared) -> Result<Value, ErrorObjectOwned> {
    let params: FlowModParams = params.parse()?;
    known(&params.bridge)?;
    assert!(params.atomic);
    let mut mods = Vec::new();
    for line in &params.flows {
        let (command, form) = command(params.command, line);
        let text = match params.command {
            FlowCommand::Add => parse_flow_line(line, &Ports).unwrap().1,
            _ => parse_flow(line, form, &Ports).unwrap(),
        };
        mods.push(Modification::Flow(FlowMod::from_text(command, text)));
    }
    let mut state = state.lock().unwrap();
    state.calls += 1;
    let changes = state.tables.modify_all(&mods).map_err(|refused| {
        let fault = TableFault {
            index: refused.position as u64,
            openflow: refused.error.openflow().name.into(),
            changed: 0,
        };
        ErrorObjectOwned::owned(ERROR_FLOW_TABLE, refused.error.to_string(), Some(fault))
    })?;
    let changed = changes.len() as u64;
    Ok(json!(FlowModAnswer { changed }))
}

fn flow_replace(params: &Params<'_>, state: &Shared) -> Result<Value, ErrorObjectOwned> {
    let params: FlowReplaceParams = params.parse()?;
    known(&params.bridge)?;
    let mut tables = Tables::new();
    for line in &params.flows {
        let text = parse_flow(line, Form::Flow, &Ports).unwrap();
        let added = Modification::Flow(FlowMod::from_text(Command::Add, text));
        tables.modify(&added).unwrap();
    }
    let (added, mut state) = (tables.len() as u64, state.lock().unwrap());
    let removed = state.tables.len() as u64;
    state.tables = tables;
    Ok(json!(FlowReplaceAnswer {
        added,
        removed,
        modified: 0
    }))
}

fn entry(flow: &Flow, names: &dyn Names) -> FlowEntry {
    let rule = Flow {
        matching: flow.matching.clone(),
        instructions: flow.instructions.clone(),
        ..Flow::default()
    };
    let text = show_flow(&rule, Shown::default(), names);
    let (matching, actions) = text.split_once("actions=").unwrap();
    let flags = FlowFlags::ALL
        .iter()
        .filter(|(_, flag)| flow.flags.contains(*flag));
    FlowEntry {
        table: flow.table,
        priority: flow.priority,
        cookie: format!("{:#x}", flow.cookie),
        matching: matching.trim_end().into(),
        actions: actions.into(),
        idle_timeout_s: flow.idle_timeout_s,
        hard_timeout_s: flow.hard_timeout_s,
        importance: flow.importance,
        flags: flags.map(|(name, _)| (*name).to_owned()).collect(),
        duration_ms: 1500,
        packets: 7,
        bytes: 420,
        idle_ms: 1500,
        hard_age_ms: 1500,
        hook: "tcx".into(),
        reason: String::new(),
        placement: None,
    }
}

fn flow_dump(params: &Params<'_>, state: &Shared) -> Result<Value, ErrorObjectOwned> {
    let params: FlowDumpParams = params.parse()?;
    known(&params.bridge)?;
    let filter = parse_flow(&params.filter, Form::Filter, &Ports).unwrap();
    let state = state.lock().unwrap();
    let shown = state.tables.flows().filter(|entry| {
        filter.table.is_none_or(|table| table == entry.flow.table)
            && filter.matching.covers(&entry.flow.matching)
    });
    let names: &dyn Names = if params.names { &Ports } else { &NoNames };
    let flows = shown.map(|shown| entry(&shown.flow, names)).collect();
    Ok(json!(FlowDump { flows }))
}

fn methods(state: Shared) -> RpcModule<Shared> {
    let mut module = RpcModule::new(state);
    let method =
        |module: &mut RpcModule<Shared>,
         name,
         answer: fn(&Params<'_>, &Shared) -> Result<Value, ErrorObjectOwned>| {
            module
                .register_method(name, move |params, state, _| answer(&params, state))
                .unwrap();
        };
    method(&mut module, METHOD_STATUS, |_, _| Ok(json!(status())));
    method(&mut module, METHOD_FLOW_MOD, flow_mod);
    method(&mut module, METHOD_FLOW_REPLACE, flow_replace);
    method(&mut module, METHOD_FLOW_DUMP, flow_dump);
    method(&mut module, METHOD_GROUP_MOD, |params, state| {
        let params: EntryModParams = params.parse()?;
        let changed = params.entries.len() as u64;
        let flows_removed = u64::from(params.command == EntryCommand::Delete);
        state.lock().unwrap().group_mods.push(params);
        Ok(json!(EntryModAnswer {
            changed,
            flows_removed
        }))
    });
    method(&mut module, METHOD_FLOW_TRACE, |params, _| {
        let asked: Value = params.parse()?;
        let packet = asked.get("flow").or(asked.get("frame"));
        Ok(
            json!({"packet": packet, "trace": [], "final": packet, "outputs": [],
                  "drop": asked.get("in_port"), "places": [], "text": ""}),
        )
    });
    method(&mut module, METHOD_FLOW_EXPLAIN, |_, _| {
        Ok(json!({"tables": [], "program_insns": 12, "load_ms": 1.5, "hook": "tcx", "why": "w"}))
    });
    module
}

/// Answers on the socket as long as the runtime lives.
pub fn answer(rundir: &Path) -> (tokio::runtime::Runtime, Shared) {
    let state = Shared::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let socket = rundir.join(SOCKET_NAME);
    let listener = runtime
        .block_on(async { UnixListener::bind(socket) })
        .unwrap();
    let shared = state.clone();
    runtime.spawn(async move {
        let (stop, _handle) = stop_channel();
        while let Ok((stream, _)) = listener.accept().await {
            let service = Server::builder()
                .to_service_builder()
                .build(methods(shared.clone()), stop.clone());
            tokio::spawn(serve(stream, service));
        }
    });
    (runtime, state)
}
