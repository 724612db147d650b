//! Commands of `ovs-appctl`.

use std::pin::pin;

use aorta_flow::PortName;
use aorta_ovsdb::Store;
use tokio::select;

use super::lab::{self, Lab};
use crate::control::{Control, Request, SimOrder};
use crate::logging::LogControl;
use crate::reconcile::DatapathError;
use crate::unixctl::{Commands, Target};

/// Commands of one input at most.
const MOST: usize = 16;

/// Commands, one a line, words between blanks; those that begin with `db ` are for the database's
/// control socket. Each is answered by a text that is empty or ends with a line's end.
pub fn command(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        lab::block_on(all(text));
    }
}

async fn all(text: &str) -> Option<()> {
    let mut switch = lab::switch().await?;
    let (control, mut requests) = Control::new();
    let store = Store::in_memory();
    let commands = |target| {
        let log = LogControl::apart().ok()?;
        let commands = Commands::new(target, control.clone(), store.clone(), log);
        Some(commands.simulated(true))
    };
    let (of_switch, of_database) = (commands(Target::Switch)?, commands(Target::Database)?);
    for line in text.lines().take(MOST) {
        let (commands, line) = match line.strip_prefix("db ") {
            Some(rest) => (&of_database, rest),
            None => (&of_switch, line),
        };
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().unwrap_or_default();
        let arguments: Vec<String> = words.collect();
        let mut answer = pin!(commands.run(&name, &arguments));
        let answer = loop {
            select! {
                answer = &mut answer => break answer,
                Some(request) = requests.recv() => serve(&mut switch, request),
            }
        };
        let (Ok(told) | Err(told)) = answer;
        assert!(told.is_empty() || told.ends_with('\n'), "{line}: {told:?}");
        // What other threads do tells its panics so.
        assert!(!told.contains("panicked"), "{line}: {told}");
    }
    Some(())
}

/// Answers what needs no daemon around the switch; whoever asks for anything else is told that
/// there is nobody.
fn serve(switch: &mut Lab, request: Request) {
    match request {
        Request::Bridges(to) => drop(to.send(switch.bridges())),
        Request::Datapath(to) => drop(to.send(switch.report())),
        Request::FdbReport(bridge, to) => drop(to.send(switch.fdb_report(&bridge))),
        Request::FlushFdb(bridge, to) => drop(to.send(switch.flush_fdb(bridge.as_deref()))),
        Request::FixStation {
            bridge,
            station,
            port,
            to,
        } => drop(to.send(switch.fix_station(&bridge, station, port.as_deref()))),
        Request::Flows(bridge, request) => switch.answer_flows(&bridge, request),
        Request::Sim(SimOrder::Receive { device, frames, .. }, to) => {
            let port = PortName::from(device.as_str());
            let received = frames
                .iter()
                .try_for_each(|frame| switch.receive(&port, frame));
            let told = received.map(|()| String::new());
            drop(to.send(told.map_err(|DatapathError(why)| why)));
        }
        _ => {}
    }
}
