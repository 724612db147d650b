//! Commands about flow tables.

use std::fmt::Write as _;

use aorta_api::{FlowTraceParams, PortStatus};
use aorta_flow::Flow;
use aorta_flow::text::{NoNames, show_instructions, show_match};

use tokio::task::spawn_blocking;

use super::switch::gone;
use super::{Answer, Commands};
use crate::control::{FlowAnswer, FlowRequest, Request};
use crate::ofproto::{self, FlowDumped, FlowError, PortNames};

impl Commands {
    pub(super) async fn dump_flows(&self, bridge: &str) -> Answer {
        let all = ofproto::filter("", &PortNames::default()).map_err(|e| e.to_string())?;
        let dumped = self
            .ask_flows(bridge, |to| FlowRequest::Flows(Box::new(all), to))
            .await?
            .map_err(|error| match error {
                FlowError::NoBridge(_) => "Unknown bridge".to_owned(),
                other => other.to_string(),
            })?;
        Ok(dumped.iter().map(flow_line).collect())
    }

    pub(super) async fn trace(&self, arguments: &[String]) -> Answer {
        let params = trace_params(arguments)?;
        let (bridge, flow) = (
            params.bridge.clone(),
            params.flow.clone().unwrap_or_default(),
        );
        let traced = self
            .ask_flows(&bridge, |to| FlowRequest::Trace(params, to))
            .await?;
        let traced = match traced {
            Ok(job) => spawn_blocking(move || job.run())
                .await
                .map_err(|error| error.to_string())?,
            Err(refused) => Err(refused),
        };
        traced
            .map(|traced| traced.text)
            .map_err(|error| match error {
                FlowError::NoBridge(bridge) => format!("{bridge}: unknown bridge"),
                FlowError::Text { error, .. } => {
                    format!("Bad openflow flow syntax: {flow}: {error}")
                }
                FlowError::Form { why, .. } => format!("Bad openflow flow syntax: {flow}: {why}"),
                other => other.to_string(),
            })
    }

    async fn ask_flows<T>(
        &self,
        bridge: &str,
        question: impl FnOnce(FlowAnswer<T>) -> FlowRequest,
    ) -> Result<Result<T, FlowError>, String> {
        let bridge = bridge.to_owned();
        let asked = self
            .control
            .ask(|to| Request::Flows(bridge, question(to)))
            .await;
        asked.map_err(gone)
    }

    pub(super) async fn ports(&self) -> Answer {
        let (bridges, _) = self.control.ask(Request::Status).await.map_err(gone)?;
        let ports = bridges.iter().flat_map(|bridge| &bridge.ports);
        let hits: u64 = ports.map(|port| port.rx_packets).sum();
        let mut text = format!("aorta@kernel: hit:{hits} missed:0\n");
        for bridge in &bridges {
            let _ = writeln!(text, "  {}:", bridge.name);
            let mut ports: Vec<&PortStatus> = bridge.ports.iter().collect();
            ports.sort_by(|a, b| a.name.cmp(&b.name));
            ports.retain(|port| port.ofport >= 0);
            for port in ports {
                let _ = writeln!(text, "    {}", port_line(port));
            }
        }
        Ok(text)
    }
}

/// A port as `dpif/show` has it: its number, and its device's.
fn port_line(port: &PortStatus) -> String {
    let device = match port.ifindex {
        0 => "none".to_owned(),
        index => index.to_string(),
    };
    format!("{} {}/{device}: ({})", port.name, port.ofport, port.kind)
}

/// A flow as `bridge/dump-flows` has it.
fn flow_line(dumped: &FlowDumped) -> String {
    let flow = &dumped.flow;
    let mut line = String::new();
    // Writing to a string never fails.
    if flow.table != 0 {
        let _ = write!(line, "table_id={}, ", flow.table);
    }
    let (seconds, counted) = (dumped.duration_ms / 1000, dumped.counters);
    let (packets, bytes) = (counted.packets, counted.bytes);
    let _ = write!(
        line,
        "duration={seconds}s, n_packets={packets}, n_bytes={bytes}, "
    );
    let matching = show_match(&flow.matching, &NoNames);
    if flow.priority != Flow::DEFAULT_PRIORITY {
        let comma = if matching.is_empty() { "" } else { "," };
        let _ = write!(line, "priority={}{comma}", flow.priority);
    }
    let actions = show_instructions(&flow.instructions, &NoNames);
    let _ = writeln!(line, "{matching},actions={actions}");
    line
}

/// Reads `[DATAPATH] BRIDGE FLOW [OPTIONS...] [-generate|PACKET]`.
fn trace_params(arguments: &[String]) -> Result<FlowTraceParams, String> {
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-generate" | "--generate" => {}
            // What connection tracking says isn't asked for yet.
            "--ct-next" | "-ct-next" => drop(rest.next()),
            option if option.starts_with('-') => {
                return Err(format!("{option}: unknown option"));
            }
            _ => words.push(word.clone()),
        }
    }
    let mut words = words.into_iter();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(bridge), Some(flow), frame, None) => Ok(FlowTraceParams {
            bridge,
            flow: Some(flow),
            frame,
            in_port: None,
        }),
        (Some(_), Some(_), ..) => Err("Too many command line arguments".to_owned()),
        (Some(flow), ..) => Err(format!(
            "syntax error at {flow} (or the bridge name was omitted)"
        )),
        _ => Err("Must specify bridge name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_of_a_trace_stand_anywhere() {
        let read = |line| trace_params(&words(line));
        let params = read("br0 in_port=1 --ct-next trk,est -generate").unwrap();
        assert_eq!(
            (params.bridge.as_str(), params.flow.as_deref()),
            ("br0", Some("in_port=1"))
        );
        assert_eq!(params.frame, None);
        assert_eq!(
            read("br0 in_port=1 ffff").unwrap().frame.as_deref(),
            Some("ffff")
        );
        assert!(read("br0").unwrap_err().contains("syntax error at br0"));
        assert_eq!(
            read("br0 a b c"),
            Err("Too many command line arguments".to_owned())
        );
        assert_eq!(read("br0 a -x"), Err("-x: unknown option".to_owned()));
    }

    #[test]
    fn a_port_without_a_device_has_no_number_of_one() {
        let mut port = PortStatus {
            name: "p1".into(),
            ofport: 3,
            kind: "system".into(),
            hook: "tcx".into(),
            reason: String::new(),
            ifindex: 7,
            rx_packets: 0,
            rx_bytes: 0,
            tx_packets: 0,
            tx_bytes: 0,
            drops: Default::default(),
        };
        assert_eq!(port_line(&port), "p1 3/7: (system)");
        (port.ifindex, port.kind) = (0, "patch".into());
        assert_eq!(port_line(&port), "p1 3/none: (patch)");
    }
}
