//! Kernel modules that the distribution doesn't build, made out of its own source.

use std::path::{Path, PathBuf};

use crate::ImageError;
use crate::apt::{Deb, unpack};
use crate::host::run;
use crate::image::remove;

/// netdevsim's directory in the source.
const NETDEVSIM: &str = "drivers/net/netdevsim";
/// What its source says about the entries of a map that is bound to a device.
const MAP_LIMIT: &str = "#define NSIM_BPF_MAX_KEYS";
/// What it says in our build: its own limit of two holds nothing that a switch needs.
const RAISED_MAP_LIMIT: &str = "#define NSIM_BPF_MAX_KEYS 4096";

/// Builds netdevsim for the kernel of `headers` out of `source`, and returns its object, the same
/// bytes each time.
pub(crate) fn netdevsim(
    release: &str,
    headers: &[Deb],
    source: &Deb,
    work: &Path,
) -> Result<PathBuf, ImageError> {
    remove(work)?;
    unpack(headers, &work.join("headers"))?;
    let build = headers_of(release, &work.join("headers"))?;
    extract(source, work)?;
    let module = module_source(source, work)?;
    raise_map_limit(&module.join("bpf.c"))?;
    let parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let source_dir = format!("M={}", module.display());
    // Paths of this machine go into no macro.
    let flags = format!("KCFLAGS=-fmacro-prefix-map={}=.", module.display());
    let jobs = format!("-j{parallel}");
    let args = [
        "-s",
        "-C",
        &build.to_string_lossy(),
        &jobs,
        &source_dir,
        &flags,
        "CONFIG_NETDEVSIM=m",
        "CONFIG_DEBUG_INFO_BTF_MODULES=",
        "modules",
    ];
    run(work, "make", &args)?;
    // What remains of the build's directory is in these sections.
    let object = module.join("netdevsim.ko");
    let strip = [
        "--strip-debug",
        "--remove-section=.note.gnu.build-id",
        "--remove-section=.comment",
    ];
    run(
        work,
        "objcopy",
        &[&strip[..], &[&object.to_string_lossy()]].concat(),
    )?;
    Ok(object)
}

/// The directory in which modules for a kernel are built; it names others by the paths they have
/// when they are installed.
fn headers_of(release: &str, root: &Path) -> Result<PathBuf, ImageError> {
    let sources = root.join("usr/src");
    let build = sources.join(format!("linux-headers-{release}"));
    let makefile = build.join("Makefile");
    let text = std::fs::read_to_string(&makefile).map_err(ImageError::file("read", &makefile))?;
    let text = text.replace("/usr/src", &sources.to_string_lossy());
    std::fs::write(&makefile, text).map_err(ImageError::file("write", &makefile))?;
    Ok(build)
}

/// Takes netdevsim out of the package of the kernel's source, which has a compressed archive.
fn extract(source: &Deb, work: &Path) -> Result<(), ImageError> {
    let script = "set -e -o pipefail; dpkg-deb --fsys-tarfile \"$1\" | tar -x -O --wildcards \
                  './usr/src/linux-source-*.tar.xz' | xz -d -c | tar -x --wildcards \"*/$2/*\"";
    let deb = source.path.to_string_lossy();
    run(work, "bash", &["-c", script, "extract", &deb, NETDEVSIM]).map(drop)
}

fn module_source(source: &Deb, work: &Path) -> Result<PathBuf, ImageError> {
    let found = std::fs::read_dir(work).map_err(ImageError::file("list", work))?;
    let mut found = found.flatten().map(|entry| entry.path().join(NETDEVSIM));
    found
        .find(|dir| dir.is_dir())
        .ok_or_else(|| ImageError::Missing {
            what: NETDEVSIM.to_owned(),
            package: source.name.clone(),
        })
}

fn raise_map_limit(path: &Path) -> Result<(), ImageError> {
    let text = std::fs::read_to_string(path).map_err(ImageError::file("read", path))?;
    let raised = raised(&text).ok_or_else(|| ImageError::Missing {
        what: MAP_LIMIT.to_owned(),
        package: path.display().to_string(),
    })?;
    std::fs::write(path, raised).map_err(ImageError::file("write", path))
}

fn raised(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(MAP_LIMIT))?;
    Some(text.replacen(line, RAISED_MAP_LIMIT, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_in_its_line_alone() {
        let text = "int a;\n#define NSIM_BPF_MAX_KEYS\t\t2\n entry[NSIM_BPF_MAX_KEYS];\n";
        let raised = raised(text).unwrap();
        assert_eq!(
            raised,
            "int a;\n#define NSIM_BPF_MAX_KEYS 4096\n entry[NSIM_BPF_MAX_KEYS];\n"
        );
        assert_eq!(super::raised("int a;"), None);
    }

    #[test]
    fn headers_name_their_unpacked_place() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("usr/src/linux-headers-6.12.1-amd64");
        std::fs::create_dir_all(&dir).unwrap();
        let text = "include /usr/src/linux-headers-6.12.1-common/Makefile\n";
        std::fs::write(dir.join("Makefile"), text).unwrap();
        assert_eq!(headers_of("6.12.1-amd64", root.path()).unwrap(), dir);
        let text = std::fs::read_to_string(dir.join("Makefile")).unwrap();
        let sources = root.path().join("usr/src");
        assert_eq!(
            text,
            format!(
                "include {}/linux-headers-6.12.1-common/Makefile\n",
                sources.display()
            )
        );
    }
}
