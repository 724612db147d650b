//! Running in the background. The foreground process starts this program once more and ends when
//! that one is ready, so that whoever started it can use the switch at once.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// Environment variable by which the background process knows itself.
const MARK: &str = "AORTA_DETACHED";

/// Whether this is the background process.
pub fn is_background() -> bool {
    env::var_os(MARK).is_some()
}

/// Starts the background process, prints what it prints and ends with it or when it is ready.
pub fn launch() -> io::Result<ExitCode> {
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut ready)?;
    }
    if !ready.is_empty() {
        print!("{ready}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(mut errors) = child.stderr.take() {
        let mut text = String::new();
        errors.read_to_string(&mut text)?;
        eprint!("{text}");
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Leaves the session of whoever started this, and, if told to, the directory.
pub fn leave_session(directory: bool) -> io::Result<()> {
    rustix::process::setsid()?;
    if directory {
        env::set_current_dir("/")?;
    }
    Ok(())
}

/// Lets go of the pipes to the foreground process, which may now end.
pub fn leave_terminal() -> io::Result<()> {
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    rustix::stdio::dup2_stderr(null.as_fd())?;
    Ok(())
}
