//! `vsctl top`: looks at the switch again and again, draws, and listens to keys.

mod terminal;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use aorta_api::{FlowDump, FlowDumpParams, METHOD_FLOW_DUMP, METHOD_STATUS, Status};
use jsonrpsee_core::rpc_params;

use super::client::{Bridge, Client};
use super::{Answer, ManageError, Manner};
use crate::args::Command;
use crate::table::pretty;
use crate::top::rates::to_json;
use crate::top::screen::Size;
use crate::top::{Key, Look, Options, Rates, View, rates, screen};
use terminal::{Event, Terminal};

/// Flows of a bridge with more are not looked at: reading them would be the most that happens.
const MOST_FLOWS: u64 = 10_000;
/// How wide lines are that no terminal shows.
const BATCH_COLUMNS: usize = 160;

/// Carries the command out, until it is told to end.
pub(super) fn run(
    rundir: &Path,
    command: &Command,
    manner: Manner,
    limit: Duration,
) -> Result<Answer, ManageError> {
    let options = Options::parse(&command.args)?;
    let watcher = Watcher {
        rundir,
        limit,
        began: Instant::now(),
        bridge: options.bridge.clone(),
    };
    if options.batch || manner.json || !manner.terminal {
        watcher.print(&options, manner)?;
    } else {
        watcher.draw(&options)?;
    }
    let text = String::new();
    Ok(Answer { text, status: 0 })
}

struct Watcher<'a> {
    rundir: &'a Path,
    /// Longest time that one look may take.
    limit: Duration,
    began: Instant,
    /// The only bridge that matters.
    bridge: Option<String>,
}

impl Watcher<'_> {
    /// Looks at the switch, by a connection of its own: the daemon may be another one than before.
    fn look(&self) -> Result<Look, ManageError> {
        let client = Client::new(self.rundir, self.limit)?;
        let status: Status = client.call(METHOD_STATUS, "", rpc_params![])?;
        let at_s = self.began.elapsed().as_secs_f64();
        if let Some(only) = &self.bridge
            && !status.bridges.iter().any(|bridge| bridge.name == *only)
        {
            let name = only.clone();
            return Err(ManageError::NoBridge { name });
        }
        let mut flows = Vec::new();
        for bridge in &status.bridges {
            let wanted = self.bridge.as_ref().is_none_or(|only| *only == bridge.name);
            if wanted && bridge.flows <= MOST_FLOWS {
                let params = FlowDumpParams {
                    bridge: bridge.name.clone(),
                    filter: String::new(),
                    names: true,
                    placement: false,
                };
                let asked = Bridge::new(&client, &bridge.name);
                let dump: FlowDump = asked.call(METHOD_FLOW_DUMP, params)?;
                flows.push((bridge.name.clone(), dump));
            }
        }
        Ok(Look {
            at_s,
            status,
            flows,
        })
    }

    /// Prints rates below each other.
    fn print(&self, options: &Options, manner: Manner) -> Result<(), ManageError> {
        let view = View::new(options);
        let size = Size {
            columns: BATCH_COLUMNS,
            lines: None,
        };
        let mut before = self.look()?;
        let mut printed = 0;
        while options.count.is_none_or(|count| printed < count) {
            std::thread::sleep(options.interval);
            let after = self.look()?;
            let rates = rates(&before, &after).only(options.bridge.as_deref());
            before = after;
            printed += 1;
            let text = match (manner.json, manner.pretty) {
                (false, _) => screen(&rates, &view, size).join("\n") + "\n\n",
                (true, true) => pretty(&to_json(&rates)) + "\n",
                (true, false) => to_json(&rates).to_string() + "\n",
            };
            match write(&text) {
                // The reader has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                other => other.map_err(ManageError::Terminal)?,
            }
        }
        Ok(())
    }

    /// Draws rates on the terminal, and does what keys say.
    fn draw(mut self, options: &Options) -> Result<(), ManageError> {
        let mut view = View::new(options);
        let mut before = self.look()?;
        let mut terminal = Terminal::open().map_err(ManageError::Terminal)?;
        // The ports are there at once, their rates at the next look.
        let (mut shown, mut drawn) = (rates(&before, &before), 0);
        let mut trouble = None;
        let mut next = Instant::now() + view.interval;
        loop {
            let lines = lines(&shown, &view, &terminal, trouble.as_deref());
            terminal.draw(&lines).map_err(ManageError::Terminal)?;
            match terminal.wait(next).map_err(ManageError::Terminal)? {
                Event::Ended | Event::Key(Key::Quit) => return Ok(()),
                Event::Resized => {}
                Event::Key(key) => {
                    let last = next - view.interval;
                    view.press(key, &shown.bridges);
                    next = last + view.interval;
                    self.bridge.clone_from(&view.bridge);
                }
                Event::Time => {
                    next = Instant::now() + view.interval;
                    if view.paused {
                        continue;
                    }
                    match self.look() {
                        Ok(after) => {
                            shown = rates(&before, &after);
                            before = after;
                            trouble = None;
                            drawn += 1;
                        }
                        Err(error) => trouble = Some(error.to_string()),
                    }
                    if options.count.is_some_and(|count| drawn >= count) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The screen; what is wrong stands in its first line, if something is.
fn lines(rates: &Rates, view: &View, terminal: &Terminal, trouble: Option<&str>) -> Vec<String> {
    let size = terminal.size();
    let mut lines = screen(rates, view, size);
    if let (Some(first), Some(trouble)) = (lines.first_mut(), trouble) {
        *first = trouble.chars().take(size.columns).collect();
    }
    lines
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
