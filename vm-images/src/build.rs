//! Puts an image together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::apt::{self, Apt, Deb, KernelPackages};
use crate::cache::sha256_file;
use crate::cpio::Archive;
use crate::driver;
use crate::image::{INITRAMFS, KERNEL, Manifest, remove};
use crate::modules::ModuleTree;
use crate::recipe::Kernel as Choice;
use crate::suites::Suites;
use crate::{ImageError, Recipe, elf};

/// Where a program may be in a package.
const BIN_DIRS: [&str; 4] = ["bin", "usr/bin", "sbin", "usr/sbin"];
/// Where a library may be in a package, and where all of them go in the image.
const LIB_DIRS: [&str; 4] = [
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib64",
    "usr/lib64",
];
/// Empty directories that the image's first process mounts on or writes to.
const MOUNT_POINTS: [&str; 6] = ["dev", "proc", "sys", "tmp", "run", "root"];

/// Writes kernel and initramfs into `out`, with packages kept in `cache`.
pub(crate) fn build(
    recipe: &Recipe,
    cache: &Path,
    out: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Manifest, ImageError> {
    let suites;
    let (apt, kernel_names) = match recipe.kernel {
        Choice::Distribution => {
            let apt = Apt::of_host(cache);
            let names = apt.kernel_packages()?;
            (apt, names)
        }
        Choice::Series(series) => {
            suites = Suites::open(cache, progress)?;
            let apt = Apt::of_suites(&suites);
            let names = apt.series_packages(series)?;
            (apt, names)
        }
    };
    let packages = Packages::download(recipe, &apt, &kernel_names, progress)?;

    let (kernel_root, program_root) = (out.join("kernel.tmp"), out.join("programs.tmp"));
    progress("unpacking the packages");
    apt::unpack(&packages.kernel, &kernel_root)?;
    apt::unpack(&packages.programs, &program_root)?;
    let kernel = find_kernel(&kernel_root, &kernel_names.image[0])?;
    let mut tree = ModuleTree::read(&kernel.modules)?;
    let driver_root = out.join("driver.tmp");
    if let Some(source) = &packages.source {
        progress("building netdevsim");
        let object = driver::netdevsim(&kernel.release, &packages.headers, source, &driver_root)?;
        tree.add("netdevsim", object);
    }

    progress("putting the image together");
    std::fs::copy(&kernel.vmlinuz, out.join(KERNEL))
        .map_err(ImageError::file("copy", &kernel.vmlinuz))?;
    let mut archive = skeleton(recipe);
    add_modules(&mut archive, recipe, &tree)?;
    add_programs(&mut archive, recipe, &program_root)?;
    let initramfs = out.join(INITRAMFS);
    std::fs::write(&initramfs, archive.finish()).map_err(ImageError::file("write", &initramfs))?;
    for dir in [kernel_root, program_root, driver_root] {
        remove(&dir)?;
    }

    Ok(Manifest {
        recipe: recipe.key(),
        kernel_release: kernel.release,
        packages: checksums(packages.all())?,
        files: [KERNEL, INITRAMFS]
            .into_iter()
            .map(|name| Ok((name.to_owned(), sha256_file(&out.join(name))?)))
            .collect::<Result<_, ImageError>>()?,
    })
}

/// The downloaded packages of an image.
struct Packages {
    kernel: Vec<Deb>,
    headers: Vec<Deb>,
    source: Option<Deb>,
    programs: Vec<Deb>,
}

impl Packages {
    fn download(
        recipe: &Recipe,
        apt: &Apt<'_>,
        kernel: &KernelPackages,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Packages, ImageError> {
        let programs: Vec<&str> = recipe.programs.iter().map(|p| p.package).collect();
        let programs = apt.with_libraries(&programs)?;
        let mut download = |names: &[String]| {
            if names.is_empty() {
                return Ok(Vec::new());
            }
            progress(&format!("downloading {}", names.join(" ")));
            apt.download(names)
        };
        let source: Vec<String> = kernel.source.iter().cloned().collect();
        Ok(Packages {
            kernel: download(&kernel.image)?,
            headers: download(&kernel.headers)?,
            source: download(&source)?.pop(),
            programs: download(&programs)?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Deb> {
        let built = self.headers.iter().chain(&self.source);
        self.kernel.iter().chain(built).chain(&self.programs)
    }
}

fn checksums<'a>(
    debs: impl Iterator<Item = &'a Deb>,
) -> Result<BTreeMap<String, String>, ImageError> {
    debs.map(|deb| {
        let name = deb.path.file_name().map_or_else(
            || deb.name.clone(),
            |file_name| file_name.to_string_lossy().into_owned(),
        );
        Ok((name, sha256_file(&deb.path)?))
    })
    .collect()
}

struct Kernel {
    vmlinuz: PathBuf,
    modules: PathBuf,
    release: String,
}

/// Finds the kernel in its unpacked packages; the modules may be under `/lib` or `/usr/lib`.
fn find_kernel(root: &Path, package: &str) -> Result<Kernel, ImageError> {
    let missing = |what: &str| ImageError::Missing {
        what: what.to_owned(),
        package: package.to_owned(),
    };
    let vmlinuz = entries(&root.join("boot"))
        .into_iter()
        .find(|path| file_name(path).starts_with("vmlinuz-"))
        .ok_or_else(|| missing("boot/vmlinuz-RELEASE"))?;
    let release = file_name(&vmlinuz)
        .trim_start_matches("vmlinuz-")
        .to_owned();
    let modules = ["lib/modules", "usr/lib/modules"]
        .into_iter()
        .map(|dir| root.join(dir).join(&release))
        .find(|dir| dir.join("kernel").is_dir())
        .ok_or_else(|| missing("lib/modules/RELEASE/kernel"))?;
    Ok(Kernel {
        vmlinuz,
        modules,
        release,
    })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn skeleton(recipe: &Recipe) -> Archive {
    let mut archive = Archive::new();
    for dir in MOUNT_POINTS {
        archive.dir(dir);
    }
    // The kernel opens it for the first process, before anything is mounted.
    archive.char_device("dev/console", 5, 1);
    archive.symlink("bin/sh", "busybox");
    archive.file("init", 0o755, recipe.init.as_bytes());
    archive.file("agent", 0o755, recipe.agent.as_bytes());
    archive.file("etc/passwd", 0o644, b"root::0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive
}

fn add_modules(
    archive: &mut Archive,
    recipe: &Recipe,
    tree: &ModuleTree,
) -> Result<(), ImageError> {
    let mut order = String::new();
    let optional = recipe.optional_modules.iter().filter(|name| tree.has(name));
    let wanted: Vec<&str> = recipe.modules.iter().chain(optional).copied().collect();
    for module in tree.closure(&wanted)? {
        archive.file(
            &format!("lib/modules/{}.ko", module.name),
            0o644,
            &module.content,
        );
        order.push_str(&format!("{}.ko\n", module.name));
    }
    archive.file("etc/guest-modules", 0o644, order.as_bytes());
    Ok(())
}

fn add_programs(archive: &mut Archive, recipe: &Recipe, root: &Path) -> Result<(), ImageError> {
    let mut libraries = Libraries {
        root,
        added: BTreeSet::new(),
    };
    for program in recipe.programs {
        let path = find(root, &BIN_DIRS, program.name).ok_or_else(|| ImageError::Missing {
            what: program.name.to_owned(),
            package: program.package.to_owned(),
        })?;
        let content = std::fs::read(&path).map_err(ImageError::file("read", &path))?;
        archive.file(&format!("bin/{}", program.name), 0o755, &content);
        let elf_error = |source| ImageError::Elf {
            path: path.clone(),
            source,
        };
        if let Some(loader) = elf::interpreter(&content).map_err(elf_error)? {
            libraries.add_loader(archive, &loader, program.name)?;
        }
        libraries.add_needed(archive, &path, &content)?;
        for name in program.opens {
            libraries.add(archive, name, program.name)?;
        }
    }
    Ok(())
}

/// The shared libraries that were put into the image so far.
struct Libraries<'a> {
    root: &'a Path,
    added: BTreeSet<String>,
}

impl Libraries<'_> {
    /// Adds the libraries that `content` needs, and those that they need.
    fn add_needed(
        &mut self,
        archive: &mut Archive,
        path: &Path,
        content: &[u8],
    ) -> Result<(), ImageError> {
        let needed = elf::needed_libraries(content).map_err(|source| ImageError::Elf {
            path: path.to_owned(),
            source,
        })?;
        needed
            .iter()
            .try_for_each(|name| self.add(archive, name, &file_name(path)))
    }

    /// Adds a library and those that it needs, once.
    fn add(
        &mut self,
        archive: &mut Archive,
        name: &str,
        needed_by: &str,
    ) -> Result<(), ImageError> {
        if !self.added.insert(name.to_owned()) {
            return Ok(());
        }
        let (path, content) = self.read(name, needed_by)?;
        archive.file(&format!("{}/{name}", LIB_DIRS[0]), 0o755, &content);
        self.add_needed(archive, &path, &content)
    }

    /// Adds the dynamic loader at the very path that programs ask for.
    fn add_loader(
        &mut self,
        archive: &mut Archive,
        path: &str,
        needed_by: &str,
    ) -> Result<(), ImageError> {
        let name = file_name(Path::new(path));
        if self.added.insert(name.clone()) {
            let (_, content) = self.read(&name, needed_by)?;
            archive.file(path.trim_start_matches('/'), 0o755, &content);
        }
        Ok(())
    }

    fn read(&self, name: &str, needed_by: &str) -> Result<(PathBuf, Vec<u8>), ImageError> {
        let path = find(self.root, &LIB_DIRS, name).ok_or_else(|| ImageError::NoLibrary {
            library: name.to_owned(),
            needed_by: needed_by.to_owned(),
        })?;
        let content = std::fs::read(&path).map_err(ImageError::file("read", &path))?;
        Ok((path, content))
    }
}

/// The first of `dirs` that has `name`. A symbolic link counts if it leads to a file within
/// its own directory: an absolute one would lead to the host's.
fn find(root: &Path, dirs: &[&str], name: &str) -> Option<PathBuf> {
    dirs.iter()
        .map(|dir| root.join(dir).join(name))
        .find_map(|path| {
            let meta = path.symlink_metadata().ok()?;
            if !meta.is_symlink() {
                return Some(path);
            }
            let target = path.parent()?.join(path.read_link().ok()?.file_name()?);
            target.is_file().then_some(target)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_links_stay_within_the_packages() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join(LIB_DIRS[1]);
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::write(lib.join("libx.so.1.2"), "x").unwrap();
        std::os::unix::fs::symlink("libx.so.1.2", lib.join("libx.so.1")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", lib.join("liby.so.1")).unwrap();
        assert_eq!(
            find(dir.path(), &LIB_DIRS, "libx.so.1"),
            Some(lib.join("libx.so.1.2"))
        );
        assert_eq!(find(dir.path(), &LIB_DIRS, "liby.so.1"), None);
        assert_eq!(find(dir.path(), &LIB_DIRS, "libz.so.1"), None);
    }

    #[test]
    fn kernel_is_found_with_modules_under_usr_lib() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("boot")).unwrap();
        let modules = dir.path().join("usr/lib/modules/6.12.1-amd64");
        std::fs::create_dir_all(modules.join("kernel")).unwrap();
        assert!(matches!(
            find_kernel(dir.path(), "linux-image"),
            Err(ImageError::Missing { .. })
        ));
        std::fs::write(dir.path().join("boot/vmlinuz-6.12.1-amd64"), "").unwrap();
        let kernel = find_kernel(dir.path(), "linux-image").unwrap();
        assert_eq!(
            (kernel.release.as_str(), kernel.modules),
            ("6.12.1-amd64", modules)
        );
    }
}
