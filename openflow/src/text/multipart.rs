//! Requests whose replies may be long, and these replies.

use std::fmt::Write as _;

use super::Style;
use super::bits::put_port;
use super::{flow, group, meter, port, queue, table, table_features};
use crate::message::{IpfixStats, MultipartReply, MultipartRequest, SwitchDesc};
use crate::version::Version;

fn put_group_id(out: &mut String, group: Option<u32>) {
    let _ = match group {
        Some(group) => write!(out, " group_id={group}"),
        None => write!(out, " group_id=ALL"),
    };
}

pub(super) fn put_request(out: &mut String, request: &MultipartRequest, style: Style<'_>) {
    match request {
        MultipartRequest::Flow(filter) | MultipartRequest::Aggregate(filter) => {
            flow::put_filter(out, filter, style);
        }
        MultipartRequest::Port(port) => {
            out.push_str(" port_no=");
            put_port(out, *port, style.names);
        }
        MultipartRequest::PortDesc(port) => {
            out.push_str(" port=");
            put_port(out, *port, style.names);
        }
        MultipartRequest::Queue(filter) => queue::put_stats_request(out, filter, style),
        MultipartRequest::QueueDesc(filter) => queue::put_desc_request(out, filter, style),
        MultipartRequest::Group(group) | MultipartRequest::GroupDesc(group) => {
            put_group_id(out, *group);
        }
        MultipartRequest::Meter(id) | MultipartRequest::MeterConfig(id) => {
            meter::put_request(out, *id);
        }
        MultipartRequest::FlowMonitor(monitors) => flow::put_monitors(out, monitors, style),
        MultipartRequest::Desc
        | MultipartRequest::Table
        | MultipartRequest::GroupFeatures
        | MultipartRequest::MeterFeatures
        | MultipartRequest::TableFeatures(_)
        | MultipartRequest::TableDesc
        | MultipartRequest::IpfixBridge
        | MultipartRequest::IpfixFlow => {}
    }
}

pub(super) fn put_reply(
    out: &mut String,
    reply: &MultipartReply,
    version: Version,
    style: Style<'_>,
) {
    match reply {
        MultipartReply::Desc(desc) => put_desc(out, desc),
        MultipartReply::Flow(flows) => flow::put_records(out, flows, style),
        MultipartReply::Aggregate(stats) => flow::put_aggregate(out, stats),
        MultipartReply::Table(tables) => table::put_stats(out, tables, version, style),
        MultipartReply::Port(ports) => port::put_stats(out, ports, style),
        MultipartReply::Queue(queues) => queue::put_stats(out, queues, style),
        MultipartReply::Group(groups) => group::put_stats(out, groups),
        MultipartReply::GroupDesc(groups) => group::put_desc(out, groups, version, style),
        MultipartReply::GroupFeatures(features) => group::put_features(out, features, version),
        MultipartReply::Meter(meters) => meter::put_stats(out, meters),
        MultipartReply::MeterConfig(meters) => meter::put_config(out, meters),
        MultipartReply::MeterFeatures(features) => meter::put_features(out, features),
        MultipartReply::TableFeatures(tables) => {
            table_features::put_tables(out, tables, version, style);
        }
        MultipartReply::PortDesc(ports) => {
            out.push('\n');
            port::put_ports(out, ports);
        }
        MultipartReply::TableDesc(tables) => table::put_descs(out, tables, style),
        MultipartReply::QueueDesc(queues) => queue::put_desc(out, queues, style),
        MultipartReply::FlowMonitor(updates) => flow::put_updates(out, updates, style),
        MultipartReply::IpfixBridge(stats) => {
            out.push_str("\n  bridge ipfix: ");
            put_ipfix(out, stats, "                ");
        }
        MultipartReply::IpfixFlow(all) => {
            let _ = writeln!(out, " {} ids", all.len());
            for stats in all {
                let _ = write!(out, "  id {:3}: ", stats.collector_set);
                put_ipfix(out, stats, "          ");
            }
        }
    }
}

fn put_desc(out: &mut String, desc: &SwitchDesc) {
    out.push('\n');
    for (title, text) in [
        ("Manufacturer", &desc.manufacturer),
        ("Hardware", &desc.hardware),
        ("Software", &desc.software),
        ("Serial Num", &desc.serial),
        ("DP Description", &desc.description),
    ] {
        let _ = writeln!(out, "{title}: {text}");
    }
}

fn put_ipfix(out: &mut String, stats: &IpfixStats, indent: &str) {
    let _ = write!(
        out,
        "flows={}, current flows={}, sampled pkts={}, ipv4 ok={}, ipv6 ok={}, tx pkts={}\n\
         {indent}pkts errs={}, ipv4 errs={}, ipv6 errs={}, tx errs={}\n",
        stats.total_flows,
        stats.current_flows,
        stats.packets,
        stats.ipv4_packets,
        stats.ipv6_packets,
        stats.tx_packets,
        stats.error_packets,
        stats.ipv4_error_packets,
        stats.ipv6_error_packets,
        stats.tx_errors
    );
}
