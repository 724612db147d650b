//! The "newc" cpio archive, which the kernel unpacks as its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format in the Linux tree).

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;

/// An archive being written. Same calls, same bytes: no times, owners or host inodes in it.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    dirs: std::collections::BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Archive {
        Archive::default()
    }

    /// A directory and its parents, mode 755. Once is enough; again does nothing.
    pub fn dir(&mut self, path: &str) {
        let mut at = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            if self.dirs.insert(at.clone()) {
                self.entry(&at, S_IFDIR | 0o755, (0, 0), &[]);
            }
        }
    }

    /// A regular file with its permission bits; the directories above it are made.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parent(path);
        self.entry(path, S_IFREG | mode, (0, 0), content);
    }

    /// A symbolic link; the directories above it are made.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.parent(path);
        self.entry(path, S_IFLNK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device, mode 600; the directories above it are made.
    pub fn char_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parent(path);
        self.entry(path, S_IFCHR | 0o600, (major, minor), &[]);
    }

    /// Closes the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        // The kernel doesn't ask for it; cpio(1) reads blocks of 512 bytes.
        self.pad(512);
        self.bytes
    }

    fn parent(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.dir(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let path = path.trim_start_matches('/');
        self.entries += 1;
        let links = if mode & S_IFDIR != 0 { 2 } else { 1 };
        let fields = [
            self.entries,
            mode,
            0, // uid
            0, // gid
            links,
            0, // mtime
            content.len() as u32,
            0, // device of the file
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0, // checksum, unused in this format
        ];
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, mode and content of each entry, read as the format says.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut at = 0;
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |n: usize| {
                let from = at + 6 + 8 * n;
                let text = std::str::from_utf8(&bytes[from..from + 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            let (mode, size, name_len) = (field(1) as u32, field(6), field(11));
            let name = at + 110;
            let path = std::str::from_utf8(&bytes[name..name + name_len - 1]).unwrap();
            let data = (name + name_len).next_multiple_of(4);
            if path == "TRAILER!!!" {
                return entries;
            }
            entries.push((path.to_owned(), mode, bytes[data..data + size].to_vec()));
            at = (data + size).next_multiple_of(4);
        }
    }

    #[test]
    fn entries_come_back_with_their_parents_first_and_once() {
        let mut archive = Archive::new();
        archive.file("/etc/a/one", 0o644, b"12345");
        archive.file("etc/a/two", 0o755, b"");
        archive.symlink("bin/sh", "busybox");
        archive.char_device("dev/console", 5, 1);
        let entries = read(&archive.finish());
        let names: Vec<_> = entries.iter().map(|e| (e.0.as_str(), e.1)).collect();
        assert_eq!(
            names,
            [
                ("etc", 0o040_755),
                ("etc/a", 0o040_755),
                ("etc/a/one", 0o100_644),
                ("etc/a/two", 0o100_755),
                ("bin", 0o040_755),
                ("bin/sh", 0o120_777),
                ("dev", 0o040_755),
                ("dev/console", 0o020_600),
            ]
        );
        assert_eq!(entries[2].2, b"12345");
        assert_eq!(entries[5].2, b"busybox");
    }

    #[test]
    fn same_calls_same_bytes() {
        let make = || {
            let mut archive = Archive::new();
            archive.file("a", 0o600, b"x");
            archive.finish()
        };
        assert_eq!(make(), make());
        assert_eq!(make().len() % 512, 0);
    }
}
