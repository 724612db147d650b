//! What is fuzzed: the targets of `fuzz/`, each with its corpus.

use crate::mutator::Framing;

/// A parser of outside bytes.
#[derive(Debug)]
pub struct Target {
    /// As in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Where its corpus is, from the root of the workspace.
    pub corpus: &'static str,
    /// Takes any bytes, and panics if a promise is broken.
    pub entry: fn(&[u8]),
    /// What inputs need so that more than their first bytes is looked at.
    pub framing: Framing,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target(
        "ebpf_text",
        "datapath/ebpf/corpus/text",
        aorta_ebpf::fuzzing::parse_text,
    ),
    target(
        "flow_text",
        "datapath/flow/corpus/flow_text",
        aorta_flow::fuzzing::parse_text,
    ),
    target(
        "frame",
        "datapath/packet/corpus/frames",
        aorta_packet::fuzzing::parse_frame,
    ),
    Target {
        framing: Framing::OpenFlow,
        ..target(
            "openflow_message",
            "openflow/corpus/message",
            aorta_openflow::fuzzing::message,
        )
    },
    Target {
        framing: Framing::OpenFlow,
        ..target(
            "openflow_text",
            "openflow/corpus/message",
            aorta_openflow::fuzzing::text,
        )
    },
    target(
        "openflow_session",
        "openflow/corpus/session",
        aorta_openflow::session::fuzzing::session,
    ),
    target(
        "ovsdb_json_stream",
        "ovsdb/corpus/json_stream",
        aorta_ovsdb::fuzzing::json_stream,
    ),
    target(
        "ovsdb_log_file",
        "ovsdb/corpus/log_file",
        aorta_ovsdb::fuzzing::log_file,
    ),
    target(
        "ovsdb_schema",
        "ovsdb/corpus/schema",
        aorta_ovsdb::fuzzing::schema,
    ),
    target(
        "ovsdb_transact",
        "ovsdb/corpus/transact",
        aorta_ovsdb::fuzzing::transact,
    ),
    target(
        "vsctl_command_line",
        "ctl/corpus/command_line",
        aorta_ctl::fuzz::command_line,
    ),
    target(
        "vsctl_flow_file",
        "ctl/corpus/flow_file",
        aorta_ctl::fuzz::flow_file,
    ),
    target(
        "vsctl_value",
        "ctl/corpus/value",
        aorta_ctl::fuzz::value_syntax,
    ),
    target(
        "vswitchd_command",
        "vswitchd/corpus/command",
        vswitchd::fuzzing::command,
    ),
    target(
        "vswitchd_configuration",
        "vswitchd/corpus/configuration",
        vswitchd::fuzzing::configuration,
    ),
    target(
        "vswitchd_journal",
        "vswitchd/corpus/journal",
        vswitchd::fuzzing::journal,
    ),
    target(
        "vswitchd_log",
        "vswitchd/corpus/log",
        vswitchd::fuzzing::log,
    ),
    target(
        "vswitchd_openflow",
        "vswitchd/corpus/openflow",
        vswitchd::fuzzing::openflow,
    ),
    target(
        "vswitchd_options",
        "vswitchd/corpus/options",
        vswitchd::fuzzing::options,
    ),
];

const fn target(name: &'static str, corpus: &'static str, entry: fn(&[u8])) -> Target {
    Target {
        name,
        corpus,
        entry,
        framing: Framing::None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_target_of_libfuzzer_is_here_and_every_corpus_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = std::fs::read_dir(root.join("fuzz/fuzz_targets")).unwrap();
        let files: BTreeSet<String> = files
            .map(|file| {
                file.unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let ours: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
        assert_eq!(ours, files);
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        let readme = std::fs::read_to_string(root.join("fuzz/README.md")).unwrap();
        for target in TARGETS {
            assert!(
                manifest.contains(&format!("name = \"{}\"", target.name)),
                "{}",
                target.name
            );
            let row = format!("| `{}` | `{}` |", target.name, target.corpus);
            assert!(readme.contains(&row), "{row}");
            assert!(
                std::fs::read_dir(root.join(target.corpus))
                    .unwrap()
                    .next()
                    .is_some()
            );
        }
    }
}
