//! The host's programs that a build calls.

use std::path::Path;
use std::process::{Command, Output};

use crate::ImageError;

/// Longest piece of standard error that goes into an error.
const STDERR_SHOWN: usize = 2000;

/// Runs a program to its end and returns its standard output.
pub(crate) fn run(dir: &Path, program: &str, args: &[&str]) -> Result<Vec<u8>, ImageError> {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| ImageError::Start {
            program: program.to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(program, args, &output))
}

fn failed(program: &str, args: &[&str], output: &Output) -> ImageError {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let from = stderr
        .char_indices()
        .rev()
        .take(STDERR_SHOWN)
        .last()
        .map_or(0, |(at, _)| at);
    ImageError::Command {
        command: std::iter::once(program)
            .chain(args.iter().copied())
            .collect::<Vec<_>>()
            .join(" "),
        status: output.status,
        stderr: stderr[from..].trim().to_owned(),
    }
}

/// Reads a file, decompressing it by the host's xz, zstd or gzip if its name asks for it.
pub(crate) fn read_decompressed(path: &Path) -> Result<Vec<u8>, ImageError> {
    let program = match path.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return std::fs::read(path).map_err(ImageError::file("read", path)),
    };
    let name = path.to_string_lossy();
    run(Path::new("/"), program, &["-d", "-c", "-q", &name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_command_status_and_stderr() {
        let e = run(Path::new("/"), "sh", &["-c", "echo why >&2; exit 3"])
            .unwrap_err()
            .to_string();
        assert!(
            e.contains("sh -c") && e.contains("exit status: 3") && e.contains("why"),
            "{e}"
        );
    }

    #[test]
    fn missing_program_is_named() {
        let e = run(Path::new("/"), "aorta-no-such-program", &[])
            .unwrap_err()
            .to_string();
        assert!(e.contains("aorta-no-such-program"), "{e}");
    }

    #[test]
    fn compressed_files_are_read_as_their_content() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.ko"), "content").unwrap();
        run(dir.path(), "gzip", &["m.ko"]).unwrap();
        assert_eq!(
            read_decompressed(&dir.path().join("m.ko.gz")).unwrap(),
            b"content"
        );
    }
}
