//! `explain`: how tables are compiled, or what a network card would take of them.

use aorta_api::{FlowExplain, FlowExplainParams, METHOD_FLOW_EXPLAIN};
use aorta_flow::OfPort;
use aorta_flow::text::{Names, NoNames};

use super::client::Bridge;
use super::error::ManageError;
use super::flow::ask_flows;
use super::{Manner, Told};
use crate::args::Command;
use crate::flows::card::Plan;
use crate::flows::{dump, explain};

/// Rules of a card of which nothing is said: what common ones hold and more.
const DEFAULT_RULES: usize = 65_536;

pub(super) fn run(
    bridge: &Bridge<'_>,
    command: &Command,
    manner: Manner,
) -> Result<Told, ManageError> {
    match command.option("--offload") {
        Some(ports) => offload(bridge, ports, command.option("--offload-rules"), manner),
        None => compiled(bridge, manner),
    }
}

fn compiled(bridge: &Bridge<'_>, manner: Manner) -> Result<Told, ManageError> {
    let params = FlowExplainParams {
        bridge: bridge.name.to_owned(),
    };
    let answer: FlowExplain = bridge.call(METHOD_FLOW_EXPLAIN, params)?;
    let text = explain::text(bridge.name, &answer, manner.colour);
    Ok(Told::new(serde_json::to_value(&answer)?, text))
}

/// Plans in this program: nothing changes in the switch.
fn offload(
    bridge: &Bridge<'_>,
    ports: &str,
    rules: Option<&str>,
    manner: Manner,
) -> Result<Told, ManageError> {
    let names = bridge.names()?;
    let port = |name: &str| {
        let number = names.port(name).or_else(|| OfPort::from_text(name));
        number
            .filter(|port| names.port_name(*port).is_some())
            .ok_or_else(|| ManageError::NoPort {
                bridge: bridge.name.to_owned(),
                port: name.to_owned(),
            })
    };
    let ports = ports.split(',').map(port).collect::<Result<Vec<_>, _>>()?;
    let max_rules = match rules {
        None => DEFAULT_RULES,
        Some(text) => text.parse().map_err(|_| ManageError::Option {
            option: "--offload-rules",
            value: text.to_owned(),
            expected: "a number of rules",
        })?,
    };
    let dump = ask_flows(bridge, "", false)?;
    let flows = dump
        .flows
        .iter()
        .map(|entry| dump::flow_of(entry, &NoNames));
    let plan = Plan::new(flows.collect::<Result<_, _>>()?, ports, max_rules);
    let text = plan.text(bridge.name, names, manner.colour);
    Ok(Told::new(plan.to_json(), text))
}
