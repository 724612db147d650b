//! From an event of the code to lines of the log.

use std::fmt::{self, Write as _};
use std::process;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use aorta_api::log::{Destination, Level};

use super::levels::Levels;
use super::module::{MODULES, level_of, module_of};
use super::output::Outputs;
use super::pattern::Record;
use super::{Shared, now_ms};

/// The daemon's name in syslog and in patterns.
const APPLICATION: &str = "ovs-vswitchd";

/// Writes the lines.
pub struct LogLayer(pub Arc<Shared>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let least = self
            .0
            .levels(|levels| (0..MODULES.len()).map(|at| levels.least(at)).max());
        Some(match least.unwrap_or(Level::Off) {
            Level::Off | Level::Emer => LevelFilter::OFF,
            Level::Err => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Dbg => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let metadata = event.metadata();
        let now_ms = now_ms();
        self.0.levels(|levels| {
            let mut outputs = self.0.outputs();
            let module = module_of(metadata.target());
            if levels.limited(module) {
                match outputs.admit(metadata.callsite(), now_ms) {
                    None => return,
                    Some(0) => {}
                    Some(left_out) => message.note(left_out, module),
                }
            }
            self.write(levels, &mut outputs, metadata, &message.text, now_ms);
        });
    }
}

impl LogLayer {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = level_of(metadata.level());
        metadata.is_event()
            && self
                .0
                .levels(|l| l.least(module_of(metadata.target())) >= level)
    }

    fn write(
        &self,
        levels: &Levels,
        outputs: &mut Outputs,
        metadata: &Metadata<'_>,
        message: &str,
        time_ms: u64,
    ) {
        let (module, level) = (module_of(metadata.target()), level_of(metadata.level()));
        let record = Record {
            application: APPLICATION,
            host: &self.0.host,
            module: MODULES.get(module).map_or("", |(name, _)| name),
            level,
            message,
            sequence: outputs.count(),
            pid: process::id(),
            time_ms,
            uptime_ms: u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            facility: levels.facility(),
        };
        for to in Destination::ALL {
            if levels.level(module, to) >= level {
                outputs.write(to, &levels.pattern(to).render(&record), &record);
            }
        }
    }
}

/// The text of an event: its message, then its other fields.
#[derive(Default)]
struct Message {
    text: String,
}

impl Message {
    fn note(&mut self, left_out: u64, module: usize) {
        let name = MODULES.get(module).map_or("", |(name, _)| name);
        let _ = write!(
            self.text,
            " ({left_out} lines like this were left out; vlog/disable-rate-limit {name} shows all)"
        );
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.text.insert_str(0, value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.text, " {}={value:?}", field.name());
        }
    }
}
