//! Entry points for fuzzing. Plain tests replay the corpora.

use aorta_flow::text::{Form, NoNames};
use aorta_ovsdb::DatabaseSchema;

use crate::args::{self, Invocation, Mode};
use crate::commands::switch::Colour;
use crate::complete::{Place, candidates, place};
use crate::flows::colour::paint;
use crate::flows::group::command_of;
use crate::flows::lines::Lines;
use crate::names::lookup;
use crate::plan::{self, Setting};
use crate::schema::Needs;
use crate::symbols::Symbols;
use crate::value::{self, ColumnArg};
use crate::view::View;

/// Reads arbitrary bytes as a value of every type in the schema, as an argument and as a
/// condition. Whatever is read must print as something that reads as the same value.
///
/// # Panics
/// If it doesn't, which is the fault to look for.
#[allow(clippy::panic)]
pub fn value_syntax(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let schema = DatabaseSchema::vswitch();
    for column in schema.tables.iter().flat_map(|table| &table.columns) {
        let mut symbols = Symbols::default();
        let Ok(read) = value::datum(text, &column.ty, &mut symbols) else {
            continue;
        };
        let printed = value::datum_string(&read, &column.ty);
        match value::datum(&printed, &column.ty, &mut symbols) {
            Ok(again) if again == read => {}
            other => panic!("{text:?} prints as {printed:?}, which reads as {other:?}"),
        }
    }
    let _ = ColumnArg::parse_whole(text);
    let _ = value::split_argument(text);
    if let Ok((arg, _)) = value::split_condition(text) {
        assert!(text.ends_with(arg.rest));
        lookup(["name", "external_ids"], &arg.column);
    }
}

/// Reads arbitrary bytes as a command line, a word per line, and carries its commands out on an
/// empty database, without any I/O. Whatever is refused must not have asked for anything to be
/// written.
///
/// # Panics
/// If a word of a command that was read is not one of the given ones, which is a fault.
pub fn command_line(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let words: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let schema = DatabaseSchema::vswitch();
    for mode in [Mode::Vsctl, Mode::OvsVsctl] {
        let Ok(Invocation::Run(_, commands)) = args::parse(mode, &words) else {
            continue;
        };
        let given = |arg: &String| words.contains(arg);
        let known = commands
            .iter()
            .all(|command| command.args.iter().all(given));
        assert!(known, "{words:?} became {commands:?}");
        if plan::needs(&commands, &schema, false, Needs::narrow(), &mut Vec::new()).is_err() {
            continue;
        }
        let setting = Setting {
            mode,
            wait: false,
            comment: String::new(),
        };
        let _ = plan::plan(&commands, &View::new(&schema), &setting, &mut Vec::new());
    }
    place(&words);
}

/// Reads arbitrary bytes as a file of flows, checks its lines, paints and completes them.
///
/// # Panics
/// If a line isn't one of the file, is left out of what would be sent, or is painted otherwise than
/// by colours.
pub fn flow_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = Lines::of_file("file", text.to_owned());
    let mut rest = text;
    for line in lines.iter() {
        assert!(!line.trim().is_empty() && !line.contains(['#', '\n']));
        let at = rest.find(line);
        rest = at.map_or("", |at| &rest[at + line.len()..]);
        assert!(at.is_some(), "{line:?} isn't in {text:?}");
        let painted = paint(line, Colour::Terminal);
        assert!(
            line.contains('\x1b') || uncoloured(&painted) == line,
            "{painted:?}"
        );
        let _ = flow_candidates(line);
    }
    let sent: usize = lines.pieces(64).iter().map(|piece| piece.len()).sum();
    assert_eq!(sent, lines.len());
    let mut nothing = |_| {};
    for words in [false, true] {
        if let Err(error) = lines.check_flows(Form::Flow, words, &NoNames, &mut nothing) {
            assert!(error.to_string().starts_with("file:"));
        }
    }
    let _ = lines.check_filters(&NoNames);
    for line in lines.iter() {
        assert!(line.ends_with(command_of(line).1));
    }
}

/// What is offered behind a text, with the port that a terminal's user might have.
fn flow_candidates(text: &str) -> Vec<String> {
    let place = Place::Flow { actions: true };
    let ports = ["tap0".to_owned()];
    candidates(&DatabaseSchema::vswitch(), &place, text, &ports)
}

fn uncoloured(painted: &str) -> String {
    let mut parts = painted.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.filter_map(|part| part.split_once('m').map(|(_, text)| text));
    first + &text.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(corpus: &str, fewest: usize, target: fn(&[u8])) {
        let mut n = 0;
        for file in std::fs::read_dir(corpus).unwrap() {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            n += 1;
        }
        assert!(n >= fewest, "only {n} files in {corpus}");
    }

    #[test]
    fn the_corpus_of_values_is_replayed() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/value");
        replay(corpus, 20, value_syntax);
    }

    #[test]
    fn the_corpus_of_command_lines_is_replayed() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/command_line");
        replay(corpus, 20, command_line);
    }

    #[test]
    fn the_corpus_of_files_of_flows_is_replayed() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/flow_file");
        replay(corpus, 10, flow_file);
    }

    /// A short walk through texts made of what the syntax cares about.
    #[test]
    fn random_values_do_no_harm() {
        let parts: Vec<&[u8]> = b"[]{}=,:\" \\@!<>-019ax_"
            .chunks(1)
            .chain([
                &b"true"[..],
                b"0-4095",
                b"\xc3\xa9",
                b"\\u00e9",
                b"a=b",
                b"tcp",
            ])
            .collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..300 {
            let mut text = Vec::new();
            for _ in 0..8 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.extend_from_slice(parts[(state % parts.len() as u64) as usize]);
            }
            value_syntax(&text);
        }
    }
}
