//! What cargo knows about the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::TaskError;
use crate::proc::{cargo, output};

/// The part of `cargo metadata` (format version 1) that the checks read.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package, the workspace's and others.
    pub packages: Vec<Package>,
    /// Ids of the workspace's packages.
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// A package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its id, unique.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Where its Cargo.toml is.
    pub manifest_path: PathBuf,
    /// What cargo builds of it.
    #[serde(default)]
    targets: Vec<Target>,
}

impl Package {
    /// Names of its test programs, those of `tests/`.
    pub fn test_programs(&self) -> impl Iterator<Item = &str> {
        let tests = self
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(|k| k == "test"));
        tests.map(|target| target.name.as_str())
    }
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Debug, Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Debug, Deserialize)]
struct DepKind {
    /// None for a normal dependency, otherwise `dev` or `build`.
    kind: Option<String>,
}

/// Asks cargo.
pub fn read() -> Result<Metadata, TaskError> {
    let args = [
        "metadata",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ];
    parse(&output(&mut cargo(&args))?)
}

/// Reads cargo's answer.
pub fn parse(json: &[u8]) -> Result<Metadata, TaskError> {
    serde_json::from_slice(json).map_err(|source| TaskError::Json {
        what: "answer of cargo metadata",
        source,
    })
}

impl Metadata {
    /// The workspace's own packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Names of the packages that `package` itself depends on, not counting tests' needs.
    pub fn direct<'a>(&'a self, package: &Package) -> BTreeSet<&'a str> {
        self.edges(&package.id)
            .into_iter()
            .filter_map(|id| self.name(id))
            .collect()
    }

    /// Names of all packages below `package`, not counting tests' needs, each with the name of
    /// one that asks for it.
    pub fn below<'a>(&'a self, package: &'a Package) -> BTreeMap<&'a str, &'a str> {
        let mut found = BTreeMap::new();
        let mut todo = vec![package.id.as_str()];
        while let Some(id) = todo.pop() {
            let parent = self.name(id).unwrap_or_default();
            for dependency in self.edges(id) {
                let name = self.name(dependency).unwrap_or_default();
                if !found.contains_key(name) {
                    found.insert(name, parent);
                    todo.push(dependency);
                }
            }
        }
        found
    }

    fn name(&self, id: &str) -> Option<&str> {
        self.packages
            .iter()
            .find(|package| package.id == id)
            .map(|package| package.name.as_str())
    }

    fn edges<'a>(&'a self, id: &str) -> Vec<&'a str> {
        let node = self.resolve.nodes.iter().find(|node| node.id == id);
        node.into_iter()
            .flat_map(|node| &node.deps)
            .filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind.as_deref() != Some("dev"))
            })
            .map(|dep| dep.pkg.as_str())
            .collect()
    }
}

/// A made-up workspace for tests: `(name, licence, dependencies)`, all of them members whose
/// name begins with `aorta-`.
#[cfg(test)]
pub fn example(packages: &[(&str, &str, &[&str])]) -> Metadata {
    let list: Vec<_> = packages
        .iter()
        .map(|(name, license, _)| {
            serde_json::json!({"id": name, "name": name, "version": "1.0.0", "license": license,
                "manifest_path": format!("/w/{name}/Cargo.toml")})
        })
        .collect();
    let nodes: Vec<_> = packages
        .iter()
        .map(|(name, _, deps)| {
            let deps: Vec<_> = deps
                .iter()
                .map(|dep| {
                    let (dep, kind) = match dep.strip_prefix("dev:") {
                        Some(dep) => (dep, Some("dev")),
                        None => (*dep, None),
                    };
                    serde_json::json!({"pkg": dep, "dep_kinds": [{"kind": kind}]})
                })
                .collect();
            serde_json::json!({"id": name, "deps": deps})
        })
        .collect();
    let members: Vec<_> = packages
        .iter()
        .map(|p| p.0)
        .filter(|name| name.starts_with("aorta-"))
        .collect();
    let json = serde_json::json!({"packages": list, "workspace_members": members,
        "resolve": {"nodes": nodes}});
    parse(json.to_string().as_bytes()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_answers_with_this_workspace() {
        let metadata = read().unwrap();
        let own = metadata
            .members()
            .find(|package| package.name == "xtask")
            .unwrap();
        assert!(metadata.direct(own).contains("aorta-integration"));
        let tool = metadata.members().find(|p| p.name == "aorta-ctl").unwrap();
        assert!(metadata.direct(tool).contains("serde_json"));
        assert!(
            !metadata.direct(tool).contains("rcgen"),
            "needed by tests only"
        );
        assert!(metadata.below(own).contains_key("serde_core"));
        let lab = metadata
            .members()
            .find(|p| p.name == "aorta-integration")
            .unwrap();
        assert!(lab.test_programs().any(|name| name == "lab"));
    }

    #[test]
    fn other_json_is_an_error() {
        assert!(parse(b"{}").is_err());
    }
}
