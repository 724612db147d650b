//! Commands about the log.

use super::Answer;
use crate::logging::LogControl;

/// Runs a `vlog/` command.
///
/// # Errors
/// With what is wrong, for a person.
pub(super) fn run(log: &LogControl, name: &str, arguments: &[String]) -> Answer {
    let nothing = |()| String::new();
    match name {
        "vlog/list" => Ok(log.list()),
        "vlog/list-pattern" => Ok(log.list_patterns()),
        "vlog/close" => {
            log.close();
            Ok(String::new())
        }
        "vlog/reopen" => log
            .reopen()
            .map(nothing)
            .map_err(|error| crate::errors::line(&error)),
        "vlog/enable-rate-limit" | "vlog/disable-rate-limit" => {
            let limited = log.limit(arguments, name == "vlog/enable-rate-limit");
            limited.map(nothing).map_err(|error| error.to_string())
        }
        _ => log
            .set(arguments)
            .map(nothing)
            .map_err(|error| error.to_string()),
    }
}
