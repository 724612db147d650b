//! Tables as the `list` and `find` commands print them (ovs-vsctl(8), Table Formatting Options).

use serde_json::{Value, json};

use crate::error::UsageError;

/// Arrangement of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One column per line, rows separated by an empty line.
    List,
    /// An HTML table.
    Html,
    /// Comma-separated values, RFC 4180.
    Csv,
    /// One JSON object with `headings` and `data`.
    Json,
}

impl Format {
    /// The format of that name.
    pub fn parse(name: &str) -> Result<Format, UsageError> {
        match name {
            "table" => Ok(Format::Table),
            "list" => Ok(Format::List),
            "html" => Ok(Format::Html),
            "csv" => Ok(Format::Csv),
            "json" => Ok(Format::Json),
            _ => Err(UsageError::UnknownFormat {
                what: "output",
                name: name.to_owned(),
            }),
        }
    }
}

/// How a cell's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// The syntax that commands accept.
    String,
    /// The same without punctuation.
    Bare,
    /// JSON as on the wire (RFC 7047 §5.1).
    Json,
}

impl DataFormat {
    /// The format of that name.
    pub fn parse(name: &str) -> Result<DataFormat, UsageError> {
        match name {
            "string" => Ok(DataFormat::String),
            "bare" => Ok(DataFormat::Bare),
            "json" => Ok(DataFormat::Json),
            _ => Err(UsageError::UnknownFormat {
                what: "data",
                name: name.to_owned(),
            }),
        }
    }
}

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Arrangement.
    pub format: Format,
    /// Values.
    pub data: DataFormat,
    /// Whether column names are printed.
    pub headings: bool,
    /// Widest column in characters, for [`Format::Table`].
    pub max_width: Option<usize>,
    /// Whether JSON is indented.
    pub pretty: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            format: Format::List,
            data: DataFormat::String,
            headings: true,
            max_width: None,
            pretty: false,
        }
    }
}

/// One value in all of its forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// In the syntax of commands.
    pub string: String,
    /// Without punctuation.
    pub bare: String,
    /// As JSON.
    pub json: Value,
    /// Whether it holds row ids, which HTML turns into links.
    pub uuids: bool,
}

impl Cell {
    /// A cell that is only text.
    pub fn text(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell {
            string: text.clone(),
            bare: text.clone(),
            json: Value::String(text),
            uuids: false,
        }
    }

    fn shown(&self, data: DataFormat) -> String {
        match data {
            DataFormat::String => self.string.clone(),
            DataFormat::Bare => self.bare.clone(),
            DataFormat::Json => self.json.to_string(),
        }
    }
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Column names.
    pub headings: Vec<String>,
    /// Rows, each as long as `headings`.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Table {
        Table {
            headings: headings.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// The text of the table, each line ended.
    pub fn render(&self, style: &Style) -> String {
        match style.format {
            Format::Table => self.render_table(style),
            Format::List => self.render_list(style),
            Format::Html => self.render_html(style),
            Format::Csv => self.render_csv(style),
            Format::Json => {
                let value = self.to_json();
                let text = if style.pretty {
                    pretty(&value)
                } else {
                    value.to_string()
                };
                text + "\n"
            }
        }
    }

    /// The table as JSON.
    pub fn to_json(&self) -> Value {
        let data: Vec<Value> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.json.clone()).collect())
            .collect();
        json!({"data": data, "headings": self.headings})
    }

    fn shown_rows(&self, style: &Style) -> Vec<Vec<String>> {
        let shown = |row: &Vec<Cell>| row.iter().map(|cell| cell.shown(style.data)).collect();
        self.rows.iter().map(shown).collect()
    }

    fn render_table(&self, style: &Style) -> String {
        let rows = self.shown_rows(style);
        let width_of = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            let limited = style.max_width.map_or(widest, |limit| widest.min(limit));
            let heading = if style.headings {
                self.headings[column].chars().count()
            } else {
                0
            };
            limited.max(heading)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width_of).collect();
        let mut text = String::new();
        if style.headings {
            push_aligned(&mut text, &self.headings, &widths);
            let dashes: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
            push_aligned(&mut text, &dashes, &widths);
        }
        for row in &rows {
            push_aligned(&mut text, row, &widths);
        }
        text
    }

    fn render_list(&self, style: &Style) -> String {
        let mut text = String::new();
        for (n, row) in self.shown_rows(style).iter().enumerate() {
            if n > 0 {
                text.push('\n');
            }
            for (heading, cell) in self.headings.iter().zip(row) {
                if style.headings {
                    text.push_str(&format!("{heading:<20}: "));
                }
                text.push_str(cell);
                text.push('\n');
            }
        }
        text
    }

    fn render_csv(&self, style: &Style) -> String {
        let mut text = String::new();
        let mut push = |cells: &[String]| {
            let quoted: Vec<String> = cells.iter().map(|cell| csv_quoted(cell)).collect();
            text.push_str(&quoted.join(","));
            text.push('\n');
        };
        if style.headings {
            push(&self.headings);
        }
        self.shown_rows(style).iter().for_each(|row| push(row));
        text
    }

    fn render_html(&self, style: &Style) -> String {
        let mut text = String::from("<table border=1>\n");
        let mut push = |tag: &str, cells: Vec<String>| {
            text.push_str("  <tr>\n");
            for cell in cells {
                text.push_str(&format!("    <{tag}>{cell}</{tag}>\n"));
            }
            text.push_str("  </tr>\n");
        };
        if style.headings {
            push(
                "th",
                self.headings
                    .iter()
                    .map(|heading| html_escaped(heading))
                    .collect(),
            );
        }
        for row in &self.rows {
            let cells = self.headings.iter().zip(row);
            push(
                "td",
                cells
                    .map(|(heading, cell)| html_cell(heading, cell, style))
                    .collect(),
            );
        }
        text + "</table>\n"
    }
}

/// Pads each cell to its column's width and cuts longer ones; no line ends in spaces.
fn push_aligned(text: &mut String, cells: &[String], widths: &[usize]) {
    let mut line = String::new();
    for (cell, &width) in cells.iter().zip(widths) {
        let cut: String = cell.chars().take(width).collect();
        line.push_str(&format!("{cut:<width$} "));
    }
    text.push_str(line.trim_end_matches(' '));
    text.push('\n');
}

fn csv_quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Row ids become short links; the row's own id becomes the link's target.
fn html_cell(heading: &str, cell: &Cell, style: &Style) -> String {
    let escaped = html_escaped(&cell.shown(style.data));
    if !cell.uuids {
        return escaped;
    }
    if heading == "_uuid" {
        let start: String = cell.shown(style.data).chars().take(8).collect();
        return format!("<a name=\"{escaped}\">{}</a>", html_escaped(&start));
    }
    let is_id_char = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut text = String::new();
    let mut rest = escaped.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_id_char(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end.max(1).min(rest.len()));
        if word.len() == 36 {
            text.push_str(&format!("<a href=\"#{word}\">{}</a>", &word[..8]));
        } else {
            text.push_str(word);
        }
        rest = tail;
    }
    text
}

/// JSON with one member or element per line.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    push_pretty(&mut text, value, 0);
    text
}

fn push_pretty(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth + 1);
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                text.push_str(if n > 0 { ",\n" } else { "\n" });
                text.push_str(&indent);
                push_pretty(text, item, depth + 1);
            }
            text.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            text.push('{');
            for (n, (name, member)) in members.iter().enumerate() {
                text.push_str(if n > 0 { ",\n" } else { "\n" });
                text.push_str(&format!("{indent}{}: ", Value::String(name.clone())));
                push_pretty(text, member, depth + 1);
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
