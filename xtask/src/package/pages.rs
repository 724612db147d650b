//! Man pages and completion, asked of the programs that are packaged.

use std::path::Path;
use std::process::Command;

use crate::error::TaskError;
use crate::proc::output;

use super::man::{self, Heading, Title};
use super::release::Release;

/// A man page of section 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: &'static str,
    /// Its source.
    pub text: String,
}

/// A page: its name, what the program is, the program, and its words in front of `--help`.
type Source = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// All pages.
const PAGES: [Source; 5] = [
    (
        "vswitchd",
        "daemon of the Aorta virtual switch",
        "vswitchd",
        &[],
    ),
    ("vsctl", "configure and inspect the switch", "vsctl", &[]),
    ("ovs-vsctl", "configure the switch", "ovs-vsctl", &[]),
    (
        "vsctl-ofctl",
        "speak OpenFlow to a switch, as ovs-ofctl",
        "vsctl",
        &["ofctl"],
    ),
    (
        "vsctl-appctl",
        "ask a running daemon, as ovs-appctl",
        "vsctl",
        &["appctl"],
    ),
];

/// What a page refers to.
const SEE_ALSO: &str = "vswitchd(8), vsctl(8), ovs-vsctl(8), vsctl-ofctl(8), vsctl-appctl(8)";

/// The pages, from the help texts of programs in a directory.
///
/// # Errors
/// When a program fails.
pub fn all(bin_dir: &Path, release: &Release) -> Result<Vec<Page>, TaskError> {
    let date = release.date("+%Y-%m-%d")?;
    let page = |(name, summary, program, words): Source| {
        let help = ask(bin_dir, program, &[words, &["--help"]].concat())?;
        let title = Title {
            name,
            summary,
            date: &date,
            version: env!("CARGO_PKG_VERSION"),
        };
        let mut text = man::page(&title, &help);
        if name == "vsctl" {
            text.push_str(&commands(bin_dir)?);
        }
        text.push_str(&format!(".SH SEE ALSO\n{}\n", man::escaped(SEE_ALSO)));
        Ok(Page { name, text })
    };
    PAGES.into_iter().map(page).collect()
}

/// What `vsctl help` says of each command.
fn commands(bin_dir: &Path) -> Result<String, TaskError> {
    let mut text = String::from(".SH COMMANDS ONE BY ONE\n");
    for command in command_names(&ask(bin_dir, "vsctl", &["--commands"])?) {
        let help = ask(bin_dir, "vsctl", &["help", command])?;
        text.push_str(&format!(".SS {}\n", man::escaped(command)));
        text.push_str(&man::body(&help, Heading::Paragraph));
    }
    Ok(text)
}

/// The names in lines such as `[--strict] del-flows BRIDGE [FLOW|-]`.
fn command_names(list: &str) -> Vec<&str> {
    list.lines()
        .filter_map(|line| line.split_whitespace().find(|word| !word.starts_with('[')))
        .collect()
}

/// Completion scripts: where each belongs, and its text.
///
/// # Errors
/// When a program fails.
pub fn completions(bin_dir: &Path) -> Result<Vec<(&'static str, String)>, TaskError> {
    let script = |shell| ask(bin_dir, "vsctl", &["completion", shell]);
    let daemon = man::options(&ask(bin_dir, "vswitchd", &["--help"])?).join(" ");
    Ok(vec![
        (
            "usr/share/bash-completion/completions/vsctl",
            script("bash")?,
        ),
        (
            "usr/share/bash-completion/completions/vswitchd",
            format!("complete -o default -W '{daemon}' vswitchd\n"),
        ),
        ("usr/share/zsh/vendor-completions/_vsctl", script("zsh")?),
        (
            "usr/share/fish/vendor_completions.d/vsctl.fish",
            script("fish")?,
        ),
    ])
}

/// What a program prints; `ovs-vsctl` is `vsctl` under that name.
fn ask(bin_dir: &Path, program: &str, words: &[&str]) -> Result<String, TaskError> {
    use std::os::unix::process::CommandExt as _;
    let file = program.trim_start_matches("ovs-");
    let mut command = Command::new(bin_dir.join(file));
    command.arg0(program).args(words);
    // What they say depends on neither.
    command.env_remove("OVS_RUNDIR").env("NO_COLOR", "1");
    Ok(String::from_utf8_lossy(&output(&mut command)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_behind_options() {
        let list = "init\n[--strict] [--bundle] del-flows BRIDGE [FLOW|-]\nfdb BRIDGE\n";
        assert_eq!(command_names(list), ["init", "del-flows", "fdb"]);
    }
}
