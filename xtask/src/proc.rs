//! Programs that tasks call, and the workspace they work on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aorta_integration::lab::command_line;

use crate::error::TaskError;

/// Root of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Tells what happens next.
pub fn say(what: &str) {
    println!("==> {what}");
}

/// A cargo command in the workspace.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Builds the switch and its tool; `options` are cargo's, such as `--release`.
pub fn build_programs(options: &[&str]) -> Result<(), TaskError> {
    let packages = ["-p", "aorta-vswitchd", "-p", "aorta-ctl"];
    run(cargo(&["build"]).args(options).args(packages))
}

/// Whether a program of that name is on the PATH (or where Debian keeps root's).
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(name).is_file())
}

/// Runs a program that talks to the terminal itself.
pub fn run(command: &mut Command) -> Result<(), TaskError> {
    let line = command_line(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| TaskError::Start {
            command: line.clone(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(TaskError::Failed {
            command: line,
            status,
        })
    }
}

/// Runs a program, shows every line of its standard output and gives it to `see`. Returns
/// whether it ended well.
pub fn run_seeing(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool, TaskError> {
    let name = command_line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| TaskError::Start {
            command: name.clone(),
            source,
        })?;
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|pipe| BufReader::new(pipe).split(b'\n'))
    {
        let line = line.map_err(TaskError::file("read", "standard output of a test"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    let status = child.wait().map_err(TaskError::file("wait for", name))?;
    Ok(status.success())
}

/// Runs a program quietly and returns its standard output.
pub fn output(command: &mut Command) -> Result<Vec<u8>, TaskError> {
    let line = command_line(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| TaskError::Start {
            command: line.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(TaskError::Failed {
        command: line,
        status: output.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_seen_and_the_end_is_told() {
        let mut lines = Vec::new();
        let ok = run_seeing(
            Command::new("sh").args(["-c", "echo a; echo b; exit 1"]),
            |line| {
                lines.push(line.to_owned());
            },
        );
        assert_eq!(
            (ok.unwrap(), lines),
            (false, vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(has_program("sh"));
        assert!(!has_program("aorta-no-such-program"));
    }

    #[test]
    fn failure_names_the_command() {
        let error = run(Command::new("sh").args(["-c", "exit 4"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sh -c exit 4") && error.contains("exit status: 4"),
            "{error}"
        );
        assert!(output(&mut Command::new("aorta-no-such-program")).is_err());
    }
}
