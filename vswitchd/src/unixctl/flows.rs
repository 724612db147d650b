//! Commands about flow tables.

use std::fmt::Write as _;

use aorta_api::{Counted, FlowTraceParams};
use aorta_flow::Flow;
use aorta_flow::text::{NoNames, show_instructions, show_match};

use tokio::task::spawn_blocking;

use super::switch::gone;
use super::{Answer, Commands};
use crate::control::{FailOpen, FlowAnswer, FlowRequest, Request};
use crate::ofproto::{self, FlowDumped, FlowError, OdpFlow, PortNames, looks_like_odp, parse_odp};
use crate::switch::DatapathReport;

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
        let mut lines: String = dumped.iter().map(flow_line).collect();
        let stands_in = self.ask_flows(bridge, FlowRequest::FailOpen).await?;
        if let Ok(Some(flow)) = stands_in {
            lines += &fail_open_line(flow);
        }
        Ok(lines)
    }

    pub(super) async fn trace(&self, arguments: &[String]) -> Answer {
        let params = self.params(trace_words(arguments)?).await?;
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

    async fn params(&self, traced: Traced) -> Result<FlowTraceParams, String> {
        let (bridge, flow, frame) = match traced {
            Traced::OpenFlow {
                bridge,
                flow,
                frame,
            } => (bridge, flow, frame),
            Traced::Datapath { flow, frame } => {
                let report = self.control.ask(Request::Datapath).await.map_err(gone)?;
                let Some(port) = flow.in_port else {
                    return Err("the flow doesn't say where it comes in: in_port(...)".to_owned());
                };
                let place = place_of(&port, &report);
                let (bridge, ofport) =
                    place.ok_or_else(|| format!("no OpenFlow port for datapath port {port}"))?;
                let flow = format!("in_port={ofport},{}", flow.matching);
                (bridge, flow, frame)
            }
        };
        Ok(FlowTraceParams {
            bridge,
            flow: Some(flow),
            frame,
            in_port: None,
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
}

/// Priority of the flow that stands in for all others, as Open vSwitch tells it: above those that
/// flows can have.
const FAIL_OPEN_PRIORITY: u32 = 0x00f0_f0f0;

fn fail_open_line(flow: FailOpen) -> String {
    let (seconds, Counted { packets, bytes }) = (flow.duration_ms / 1000, flow.counters);
    format!(
        "duration={seconds}s, n_packets={packets}, n_bytes={bytes}, \
         priority={FAIL_OPEN_PRIORITY},actions=NORMAL\n"
    )
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

/// What is to be traced: a flow of OpenFlow in a bridge, or one of the datapath.
#[derive(Debug, PartialEq, Eq)]
enum Traced {
    /// In this bridge.
    OpenFlow {
        bridge: String,
        flow: String,
        frame: Option<String>,
    },
    /// Where its port is.
    Datapath {
        flow: OdpFlow,
        frame: Option<String>,
    },
}

/// Reads `{[DATAPATH] ODP_FLOW | BRIDGE FLOW} [OPTIONS...] [-generate|PACKET]`.
fn trace_words(arguments: &[String]) -> Result<Traced, String> {
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-generate" | "--generate" => {}
            // What connection tracking says isn't asked for yet, nor how long the payload is.
            "--ct-next" | "-ct-next" | "--l7-len" | "-l7-len" | "--l7" | "-l7" => drop(rest.next()),
            option if option.starts_with('-') => {
                return Err(format!("{option}: unknown option"));
            }
            _ => words.push(word.clone()),
        }
    }
    // The datapath is one, whatever it is called.
    let named = words.len() > 1 && looks_like_odp(&words[1]);
    let mut words = words.into_iter().skip(usize::from(named));
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(flow), frame, None, _) if looks_like_odp(&flow) => match parse_odp(&flow) {
            Ok(flow) => Ok(Traced::Datapath { flow, frame }),
            Err(rest) => Err(format!(
                "syntax error at {rest} (or the bridge name was omitted)"
            )),
        },
        (Some(bridge), Some(flow), frame, None) => Ok(Traced::OpenFlow {
            bridge,
            flow,
            frame,
        }),
        (Some(_), Some(_), ..) => Err("Too many command line arguments".to_owned()),
        (Some(flow), ..) => Err(format!(
            "syntax error at {flow} (or the bridge name was omitted)"
        )),
        _ => Err("Must specify bridge name".to_owned()),
    }
}

/// The bridge and the OpenFlow number of a port of the datapath, by number or by name.
fn place_of(port: &str, report: &DatapathReport) -> Option<(String, u16)> {
    let number = port.parse().ok();
    let mut ports = report.bridges.iter().flat_map(|bridge| {
        let ports = bridge.ports.iter();
        ports.map(move |port| (&bridge.name, port))
    });
    let found = ports.find(|(_, other)| match number {
        Some(_) => other.device == number,
        None => other.name == port,
    });
    found.map(|(bridge, port)| (bridge.clone(), port.ofport))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_of_a_trace_stand_anywhere() {
        let read = |line| trace_words(&words(line));
        let in_bridge = |frame: Option<&str>| Traced::OpenFlow {
            bridge: "br0".to_owned(),
            flow: "in_port=1".to_owned(),
            frame: frame.map(str::to_owned),
        };
        assert_eq!(
            read("br0 in_port=1 --ct-next trk,est -generate"),
            Ok(in_bridge(None))
        );
        assert_eq!(read("br0 in_port=1 ffff"), Ok(in_bridge(Some("ffff"))));
        for line in ["in_port(1) ffff", "ovs-dummy in_port(1) -generate ffff"] {
            let Ok(Traced::Datapath { flow, frame }) = read(line) else {
                panic!("{line}");
            };
            assert_eq!(flow.in_port.as_deref(), Some("1"));
            assert_eq!(frame.as_deref(), Some("ffff"));
        }
        assert!(
            read("in_port(1),foo(1)")
                .unwrap_err()
                .contains("error at foo(1) (or")
        );
        assert!(read("br0").unwrap_err().contains("syntax error at br0"));
        assert_eq!(
            read("br0 a b c"),
            Err("Too many command line arguments".to_owned())
        );
        assert_eq!(read("br0 a -x"), Err("-x: unknown option".to_owned()));
    }
}
