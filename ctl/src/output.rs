//! What one command prints.

use std::fmt::Display;

use aorta_ovsdb::Uuid;
use serde_json::Value;

use crate::table::{Format, Style, Table};

/// What one command prints.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Output {
    /// Lines of text, each ended.
    pub text: String,
    /// A table, printed in the style asked for.
    pub table: Option<Table>,
    /// A new row, whose id is known only after the transaction.
    pub row: Option<Uuid>,
    /// The same as `text` for programs.
    pub json: Option<Value>,
}

impl Output {
    /// Prints a line.
    pub fn line(&mut self, value: impl Display) {
        let value = value.to_string();
        self.text.push_str(&value);
        self.text.push('\n');
        self.json = Some(Value::String(value));
    }

    /// Prints names, one per line.
    pub fn names(&mut self, names: Vec<String>) {
        for name in &names {
            self.text.push_str(name);
            self.text.push('\n');
        }
        self.json = Some(names.into());
    }
}

/// Puts the outputs of all commands together.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    oneline: bool,
    json: bool,
    tables: usize,
    text: String,
}

impl Printer {
    /// A printer for one invocation.
    pub fn new(style: Style, oneline: bool, json: bool) -> Printer {
        Printer {
            style,
            oneline,
            json,
            tables: 0,
            text: String::new(),
        }
    }

    /// Adds a command's output; `row_id` is what the server called its new row.
    pub fn add(&mut self, output: &Output, row_id: Option<Uuid>) {
        if let Some(table) = &output.table {
            return self.add_table(table);
        }
        let mut text = output.text.clone();
        let mut json = output.json.clone();
        if let Some(row) = row_id.or(output.row) {
            text.push_str(&format!("{row}\n"));
            json = Some(Value::String(row.to_string()));
        }
        match json.filter(|_| self.json) {
            Some(json) => {
                let pretty = self.style.pretty;
                let shown = if pretty {
                    crate::table::pretty(&json)
                } else {
                    json.to_string()
                };
                self.text.push_str(&shown);
                self.text.push('\n');
            }
            None if self.oneline => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                self.text
                    .push_str(&line.replace('\\', "\\\\").replace('\n', "\\n"));
                self.text.push('\n');
            }
            None => self.text.push_str(&text),
        }
    }

    fn add_table(&mut self, table: &Table) {
        let apart = matches!(
            self.style.format,
            Format::Table | Format::List | Format::Csv
        );
        if apart && self.tables > 0 {
            self.text.push('\n');
        }
        self.tables += 1;
        self.text.push_str(&table.render(&self.style));
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(oneline: bool, json: bool, outputs: &[Output]) -> String {
        let mut printer = Printer::new(Style::default(), oneline, json);
        outputs.iter().for_each(|output| printer.add(output, None));
        printer.finish()
    }

    fn sample() -> Vec<Output> {
        let mut names = Output::default();
        names.names(vec!["br0".into(), "a\\b".into()]);
        vec![names, Output::default()]
    }

    #[test]
    fn text_is_printed_as_it_is() {
        assert_eq!(printed(false, false, &sample()), "br0\na\\b\n");
    }

    #[test]
    fn oneline_gives_each_command_a_line() {
        assert_eq!(printed(true, false, &sample()), "br0\\na\\\\b\n\n");
    }

    #[test]
    fn json_prints_names_as_an_array() {
        assert_eq!(printed(false, true, &sample()), "[\"br0\",\"a\\\\b\"]\n");
    }

    #[test]
    fn an_empty_line_separates_tables() {
        let mut table = Table::new(["name"]);
        table.rows.push(vec![crate::table::Cell::text("br0")]);
        let output = Output {
            table: Some(table),
            ..Output::default()
        };
        let text = printed(false, false, &[output.clone(), output]);
        assert_eq!(
            text,
            "name                : br0\n\nname                : br0\n"
        );
    }

    #[test]
    fn a_new_row_is_shown_by_the_id_that_the_server_gave() {
        let output = Output {
            row: Some(Uuid::from_u128(1)),
            ..Output::default()
        };
        let mut printer = Printer::new(Style::default(), false, false);
        printer.add(&output, Some(Uuid::from_u128(2)));
        assert_eq!(printer.finish(), "00000000-0000-0000-0000-000000000002\n");
    }
}
