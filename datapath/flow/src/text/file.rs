//! Files of flows.

use super::error::TextError;
use super::flow::{Command, FlowText, parse_flow_line};
use super::names::Names;

/// A line of a file that is no flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Which line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub error: TextError,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, {}", self.line, self.error.render(&self.text))
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Reads a file of flows, as `ovs-ofctl add-flows` takes it: one on each line, with a word in
/// front that says what to do if wanted. Empty lines and what follows `#` are skipped.
///
/// # Errors
/// The first line that is no flow.
pub fn parse_flow_file(
    text: &str,
    names: &dyn Names,
) -> Result<Vec<(Command, FlowText)>, FileError> {
    let mut flows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let flow = line.split('#').next().unwrap_or(line);
        if flow.trim().is_empty() {
            continue;
        }
        match parse_flow_line(flow, names) {
            Ok(read) => flows.push(read),
            Err(error) => {
                return Err(FileError {
                    line: number + 1,
                    text: line.to_owned(),
                    error,
                });
            }
        }
    }
    Ok(flows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::NoNames;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let file = "# all\n\n table=1,tcp actions=1 # one\ndelete udp\nflow modify actions=2\nflow udp,actions=3\n";
        let flows = parse_flow_file(file, &NoNames).unwrap();
        let commands: Vec<Command> = flows.iter().map(|(command, _)| *command).collect();
        let expected = [Command::Add, Command::Delete, Command::Modify, Command::Add];
        assert_eq!(commands, expected);
        assert_eq!(
            flows[0].1.clone().into_flow().to_string(),
            "table=1, tcp actions=output:1"
        );
    }

    #[test]
    fn errors_tell_the_line() {
        let file = "actions=1\n#\n  tcp,tp_dts=80,actions=1\n";
        let refused = parse_flow_file(file, &NoNames).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "line 3, column 7: there is no field \"tp_dts\"; did you mean \"tp_dst\"?\n    \
             tcp,tp_dts=80,actions=1\n        ^^^^^^"
        );
    }
}
