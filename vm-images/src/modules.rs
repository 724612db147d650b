//! Kernel modules and what they depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::host::read_decompressed;
use crate::{ImageError, elf};

/// A module ready to be put into an image.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// The uncompressed object.
    pub content: Vec<u8>,
}

/// The modules of one unpacked kernel.
pub(crate) struct ModuleTree {
    release: String,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl ModuleTree {
    /// Reads `…/modules/RELEASE`.
    pub(crate) fn read(dir: &Path) -> Result<ModuleTree, ImageError> {
        let release = dir
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let list = dir.join("modules.builtin");
        let builtin = std::fs::read_to_string(&list).map_err(ImageError::file("read", &list))?;
        let builtin = builtin
            .lines()
            .filter_map(|line| module_name(Path::new(line)))
            .collect();
        let mut files = BTreeMap::new();
        collect(&dir.join("kernel"), &mut files)?;
        Ok(ModuleTree {
            release,
            files,
            builtin,
        })
    }

    /// Adds a module that the kernel's packages don't have.
    pub(crate) fn add(&mut self, name: &str, object: PathBuf) {
        self.files.insert(name.to_owned(), object);
    }

    /// Whether the kernel has this module, as a file or built in.
    pub(crate) fn has(&self, name: &str) -> bool {
        let name = name.replace('-', "_");
        self.builtin.contains(&name) || self.files.contains_key(&name)
    }

    /// The wanted modules and their dependencies, each after what it depends on. Those built
    /// into the kernel need no file and are left out.
    pub(crate) fn closure(&self, wanted: &[&str]) -> Result<Vec<Module>, ImageError> {
        let mut modules = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            self.visit(&name.replace('-', "_"), &mut seen, &mut modules)?;
        }
        Ok(modules)
    }

    fn visit(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        modules: &mut Vec<Module>,
    ) -> Result<(), ImageError> {
        if self.builtin.contains(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self.files.get(name).ok_or_else(|| ImageError::NoModule {
            module: name.to_owned(),
            release: self.release.clone(),
        })?;
        let content = read_decompressed(path)?;
        let dependencies =
            elf::module_dependencies(&content).map_err(|source| ImageError::Elf {
                path: path.clone(),
                source,
            })?;
        for dependency in dependencies {
            self.visit(&dependency.replace('-', "_"), seen, modules)?;
        }
        modules.push(Module {
            name: name.to_owned(),
            content,
        });
        Ok(())
    }
}

fn module_name(path: &Path) -> Option<String> {
    let (stem, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(stem.replace('-', "_"))
}

fn collect(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), ImageError> {
    for entry in std::fs::read_dir(dir).map_err(ImageError::file("list", dir))? {
        let path = entry.map_err(ImageError::file("list", dir))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_whatever_the_compression() {
        let name = |p: &str| module_name(Path::new(p));
        assert_eq!(name("kernel/net/8021q/8021q.ko"), Some("8021q".into()));
        assert_eq!(name("virtio-rng.ko.xz"), Some("virtio_rng".into()));
        assert_eq!(name("net_failover.ko.zst"), Some("net_failover".into()));
        assert_eq!(name("modules.order"), None);
    }

    #[test]
    fn built_in_needs_no_file_and_unknown_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("6.1.0");
        std::fs::create_dir_all(tree.join("kernel")).unwrap();
        std::fs::write(
            tree.join("modules.builtin"),
            "kernel/drivers/virtio/virtio-pci.ko\n",
        )
        .unwrap();
        let tree = ModuleTree::read(&tree).unwrap();
        assert!(tree.has("virtio-pci") && !tree.has("vhost"));
        assert!(tree.closure(&["virtio-pci"]).unwrap().is_empty());
        let e = tree.closure(&["vhost"]).unwrap_err().to_string();
        assert!(e.contains("6.1.0") && e.contains("vhost"), "{e}");
    }
}
