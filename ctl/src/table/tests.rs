//! Tests of the table formats.

use super::*;

fn sample() -> Table {
    let mut table = Table::new(["name", "trunks"]);
    let trunks = Cell {
        string: "[1, 2]".into(),
        bare: "1 2".into(),
        json: json!(["set", [1, 2]]),
        uuids: false,
    };
    let empty = Cell {
        string: "[]".into(),
        bare: String::new(),
        json: json!(["set", []]),
        uuids: false,
    };
    table.rows.push(vec![Cell::text("eth0-long"), trunks]);
    table.rows.push(vec![Cell::text("p1"), empty]);
    table
}

fn styled(format: Format, data: DataFormat) -> Style {
    Style {
        format,
        data,
        ..Style::default()
    }
}

#[test]
fn a_table_aligns_all_columns_but_the_last() {
    let text = sample().render(&styled(Format::Table, DataFormat::String));
    let expected = "name      trunks\n--------- ------\neth0-long [1, 2]\np1        []\n";
    assert_eq!(text, expected);
}

#[test]
fn a_table_cuts_wide_cells_but_not_headings() {
    let style = Style {
        max_width: Some(3),
        ..styled(Format::Table, DataFormat::String)
    };
    assert_eq!(
        sample().render(&style),
        "name trunks\n---- ------\neth0 [1, 2]\np1   []\n"
    );
}

#[test]
fn a_list_separates_rows_by_an_empty_line() {
    let text = sample().render(&styled(Format::List, DataFormat::Bare));
    let expected = "name                : eth0-long\ntrunks              : 1 2\n\n\
                    name                : p1\ntrunks              : \n";
    assert_eq!(text, expected);
}

#[test]
fn csv_quotes_commas_and_quotes() {
    let text = sample().render(&styled(Format::Csv, DataFormat::String));
    assert_eq!(text, "name,trunks\neth0-long,\"[1, 2]\"\np1,[]\n");
    assert_eq!(csv_quoted("a\"b"), "\"a\"\"b\"");
}

#[test]
fn json_holds_headings_and_wire_values() {
    let text = sample().render(&styled(Format::Json, DataFormat::String));
    let expected = "{\"data\":[[\"eth0-long\",[\"set\",[1,2]]],[\"p1\",[\"set\",[]]]],\
                    \"headings\":[\"name\",\"trunks\"]}\n";
    assert_eq!(text, expected);
}

#[test]
fn html_links_row_ids() {
    let id = "25ebc6f2-7547-4d93-a409-b9f3df050332";
    let cell = Cell {
        string: format!("[{id}]"),
        bare: id.into(),
        json: json!(["uuid", id]),
        uuids: true,
    };
    let style = styled(Format::Html, DataFormat::String);
    assert_eq!(
        html_cell("ports", &cell, &style),
        format!("[<a href=\"#{id}\">25ebc6f2</a>]")
    );
    let own = Cell {
        string: id.into(),
        ..cell
    };
    assert_eq!(
        html_cell("_uuid", &own, &style),
        format!("<a name=\"{id}\">25ebc6f2</a>")
    );
}

#[test]
fn pretty_json_closes_on_the_last_line() {
    let text = pretty(&json!({"a": [1, {}], "b": null}));
    assert_eq!(text, "{\n  \"a\": [\n    1,\n    {}],\n  \"b\": null}");
}
