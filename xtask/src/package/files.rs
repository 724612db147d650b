//! The files of a package, as they will lie in the root directory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::TaskError;
use crate::proc::{output, run};

/// A directory that becomes a package.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// An empty one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(root: PathBuf) -> Result<Tree, TaskError> {
        let tree = Tree { root };
        make_dir(&tree.root)?;
        Ok(tree)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory.
    pub fn directory(&self, to: &str) -> Result<(), TaskError> {
        // Each level, so that the user's umask doesn't decide about any.
        let mut path = self.root.clone();
        for part in Path::new(to) {
            path.push(part);
            make_dir(&path)?;
        }
        Ok(())
    }

    /// A text of ours.
    pub fn text(&self, text: &str, to: &str) -> Result<(), TaskError> {
        self.bytes(text.as_bytes(), to, 0o644)
    }

    /// A text, compressed as man pages and changelogs are.
    pub fn compressed(&self, text: &str, to: &str) -> Result<(), TaskError> {
        let plain = to.trim_end_matches(".gz");
        self.text(text, plain)?;
        run(Command::new("gzip")
            .args(["-9", "-n", "-f"])
            .arg(self.root.join(plain)))
    }

    /// A file as it is.
    pub fn copy(&self, from: &Path, to: &str) -> Result<(), TaskError> {
        self.bytes(&read(from)?, to, 0o644)
    }

    /// A file as it is, to be executed.
    pub fn script(&self, from: &Path, to: &str) -> Result<(), TaskError> {
        self.bytes(&read(from)?, to, 0o755)
    }

    /// A program without what only debuggers need.
    pub fn program(&self, from: &Path, to: &str) -> Result<(), TaskError> {
        let path = self.place(to)?;
        run(Command::new("strip")
            .args(["--strip-unneeded", "--remove-section=.comment", "-o"])
            .arg(&path)
            .arg(from)
            .stdout(Stdio::null()))?;
        set_mode(&path, 0o755)
    }

    /// A symbolic link.
    pub fn link(&self, target: &str, to: &str) -> Result<(), TaskError> {
        let path = self.place(to)?;
        std::os::unix::fs::symlink(target, &path).map_err(TaskError::file("make", &path))
    }

    /// Bytes with a mode.
    pub fn bytes(&self, bytes: &[u8], to: &str, mode: u32) -> Result<(), TaskError> {
        let path = self.place(to)?;
        std::fs::write(&path, bytes).map_err(TaskError::file("write", &path))?;
        set_mode(&path, mode)
    }

    /// Kibibytes that its files take, rounded up one by one.
    ///
    /// # Errors
    /// When `du` fails.
    pub fn kibibytes(&self) -> Result<u64, TaskError> {
        let text = output(
            Command::new("du")
                .args(["-k", "-s", "--apparent-size"])
                .arg(&self.root),
        )?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = text.split_whitespace().next().and_then(|n| n.parse().ok());
        Ok(number.unwrap_or(0))
    }

    fn place(&self, to: &str) -> Result<PathBuf, TaskError> {
        if let Some((directory, _)) = to.rsplit_once('/') {
            self.directory(directory)?;
        }
        Ok(self.root.join(to))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TaskError> {
    std::fs::read(path).map_err(TaskError::file("read", path))
}

fn make_dir(path: &Path) -> Result<(), TaskError> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(path).map_err(TaskError::file("make", path))?;
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), TaskError> {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).map_err(TaskError::file("set the mode of", path))
}
