//! Words of people: what is logged, and how the daemon is started.

use std::ffi::OsString;

use clap::Parser as _;

use crate::logging::{LogControl, empty_line};
use crate::options::Options;
use crate::ovs_options::normal;

/// Widest line of a log that patterns of an input may make of an empty one, in characters for each
/// byte of the pattern: fields may be this wide.
const WIDEST: usize = 512;

/// Arguments of `vlog/set`, one a line, in one command after the other. What is listed tells them,
/// and lines can be written by the patterns.
pub fn log(bytes: &[u8]) {
    let (Ok(text), Ok(log)) = (std::str::from_utf8(bytes), LogControl::apart()) else {
        return;
    };
    for line in text.lines() {
        if log.set(&[line.to_owned()]).is_err() {
            continue;
        }
        if let Some((kind, rest)) = line.split_once(':')
            && kind.eq_ignore_ascii_case("pattern")
        {
            let pattern = rest.split_once(':').map_or("", |(_, pattern)| pattern);
            let shown = log.list_patterns();
            assert!(shown.contains(pattern), "{pattern:?}: {shown}");
            let written = empty_line(pattern).chars().count();
            assert!(written <= WIDEST * (pattern.len() + 1), "{pattern:?}");
        }
    }
    assert!(log.list().lines().count() > 2);
}

/// Words of a command line, one a line. What is understood can be followed, or is refused.
pub fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let words = ["vswitchd"].into_iter().chain(text.lines());
    let words = normal(words.map(OsString::from));
    match Options::try_parse_from(words) {
        Ok(options) => {
            let _ = (options.datapath(), options.devices(), options.log_file());
            assert!(options.rundir().is_absolute() && options.db().is_absolute());
            let _ = (options.control_socket(), options.database_socket());
            if let Err(refused) = options.remotes() {
                assert!(!refused.to_string().is_empty());
            }
        }
        Err(refused) => assert!(!refused.render().to_string().is_empty()),
    }
}
