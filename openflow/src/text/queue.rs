//! Queues.

use std::fmt::Write as _;

use aorta_flow::OfPort;

use super::Style;
use super::bits::{put_counter, put_duration, put_port};
use crate::message::{QueueDesc, QueueFilter, QueueStats};

fn put_queue(out: &mut String, queue: Option<u32>) {
    match queue {
        Some(queue) => {
            let _ = write!(out, "{queue}");
        }
        None => out.push_str("ALL"),
    }
}

pub(super) fn put_stats_request(out: &mut String, filter: &QueueFilter, style: Style<'_>) {
    out.push_str(" port=");
    put_port(out, filter.port, style.names);
    out.push_str(" queue=");
    put_queue(out, filter.queue);
}

pub(super) fn put_stats(out: &mut String, queues: &[QueueStats], style: Style<'_>) {
    let _ = writeln!(out, " {} queues", queues.len());
    for queue in queues {
        out.push_str("  port ");
        put_port(out, queue.port, style.names);
        let _ = write!(out, " queue {}: ", queue.queue);
        put_counter(out, "bytes=", queue.tx_bytes, ", ");
        put_counter(out, "pkts=", queue.tx_packets, ", ");
        put_counter(out, "errors=", queue.tx_errors, ", duration=");
        match queue.duration {
            Some(duration) => put_duration(out, duration),
            None => out.push('?'),
        }
        out.push('\n');
    }
}

pub(super) fn put_config_request(out: &mut String, port: OfPort, style: Style<'_>) {
    out.push_str(" port=");
    put_port(out, port, style.names);
}

pub(super) fn put_desc_request(out: &mut String, filter: &QueueFilter, style: Style<'_>) {
    put_config_request(out, filter.port, style);
    if filter.queue.is_some() {
        out.push_str(" queue=");
        put_queue(out, filter.queue);
    }
}

/// Appends a rate of a port's own, if it is told.
fn put_rate(out: &mut String, name: &str, permille: Option<u16>) {
    if let Some(permille) = permille {
        let (percent, tenths) = (permille / 10, permille % 10);
        let _ = write!(out, " {name}:{percent}.{tenths}%");
    }
}

fn put_rates(out: &mut String, queue: &QueueDesc) {
    let _ = write!(out, "queue {}:", queue.queue);
    put_rate(out, "min_rate", queue.min_rate_permille);
    put_rate(out, "max_rate", queue.max_rate_permille);
    out.push('\n');
}

fn sorted(queues: &[QueueDesc]) -> Vec<&QueueDesc> {
    let mut queues: Vec<&QueueDesc> = queues.iter().collect();
    queues.sort_by_key(|queue| (queue.port, queue.queue));
    queues
}

/// Queues by their numbers, behind the port that was asked for.
pub(super) fn put_config_reply(
    out: &mut String,
    port: OfPort,
    queues: &[QueueDesc],
    style: Style<'_>,
) {
    put_config_request(out, port, style);
    out.push('\n');
    for queue in sorted(queues) {
        put_rates(out, queue);
    }
}

/// Queues by port.
pub(super) fn put_desc(out: &mut String, queues: &[QueueDesc], style: Style<'_>) {
    out.push(' ');
    let mut told = None;
    for queue in sorted(queues) {
        if told != Some(queue.port) {
            told = Some(queue.port);
            out.push_str("port=");
            put_port(out, queue.port, style.names);
            out.push('\n');
        }
        put_rates(out, queue);
    }
}
