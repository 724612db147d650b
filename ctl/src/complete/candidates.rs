//! What may stand at a place, by the commands, the schema and the database.

use aorta_ovsdb::{AtomType, ColumnSchema, DatabaseSchema, Uuid};

use super::flow;
use super::place::Place;
use crate::args::{self, Mode};
use crate::commands::{self, Value};
use crate::schema::{self, RecordName, record_name};
use crate::txn::Txn;
use crate::value::atom_string;

/// What the database is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The table whose rows may be meant.
    pub table: String,
    /// The columns that name them, or hold keys.
    pub columns: Vec<String>,
}

impl Names {
    /// What has to be known to complete this word at this place; `None` if nothing.
    pub fn needed(schema: &DatabaseSchema, place: &Place, current: &str) -> Option<Names> {
        let named = |table: &str| {
            let column = match record_name(table)? {
                RecordName::Column(column) => column,
                RecordName::Via(_, _) | RecordName::Only => return None,
            };
            Some(Names {
                table: table.to_owned(),
                columns: vec![column.to_owned()],
            })
        };
        match place {
            Place::Bridge => named("Bridge"),
            Place::Port => named("Port"),
            Place::Interface => named("Interface"),
            Place::Flow { .. } if flow::wants_port(current) => named("Interface"),
            Place::Record { table } => {
                let table = schema::table(schema, table).ok()?;
                match record_name(&table.name) {
                    Some(RecordName::Via(via, _)) => named(via),
                    _ => named(&table.name),
                }
            }
            Place::Column { table, .. } => {
                let table = schema::table(schema, table).ok()?;
                let (column, _) = current.split_once(':')?;
                let column = schema::column(table, column).ok()?;
                Some(Names {
                    table: table.name.to_string(),
                    columns: vec![column.name.to_string()],
                })
            }
            _ => None,
        }
    }

    /// What the database has there.
    pub fn read(&self, txn: &Txn<'_>) -> Vec<String> {
        let rows = txn.rows(&self.table);
        let column = self.columns.first().map_or("", String::as_str);
        let texts = |row: &Uuid| {
            let value = txn.get(&self.table, *row, column);
            let keys = value.pairs().map(|(key, _)| atom_string(key));
            let atoms = value.atoms().iter().map(|atom| atom.to_string());
            keys.chain(atoms.filter(|_| value.pairs().next().is_none()))
                .collect::<Vec<_>>()
        };
        rows.iter().flat_map(texts).collect()
    }
}

/// Everything that may stand at the place and begins with what is there already; `known` is what
/// the database has for it. Those that end in `=`, `:` or `,` want something after them.
pub fn candidates(
    schema: &DatabaseSchema,
    place: &Place,
    current: &str,
    known: &[String],
) -> Vec<String> {
    let mut all = match place {
        Place::Command { first } => of_commands(*first, current),
        Place::Bridge | Place::Port | Place::Interface => known.to_vec(),
        Place::Table => schema.tables.iter().map(|t| t.name.to_string()).collect(),
        Place::Record { table } => of_records(schema, table, known),
        Place::Column { table, key, value } => {
            of_columns(schema, table, (*key, *value), current, known)
        }
        Place::Flow { actions } => flow::candidates(current, *actions, known),
        Place::File => known.to_vec(),
        Place::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Place::Unknown => Vec::new(),
    };
    all.retain(|candidate| candidate.starts_with(current));
    all.sort_unstable();
    all.dedup();
    all
}

fn of_commands(first: bool, current: &str) -> Vec<String> {
    if !current.starts_with('-') {
        let own = [super::COMPLETION, "help"].map(str::to_owned);
        let names = commands::all(Mode::Vsctl).map(|syntax| syntax.name.to_owned());
        return names.chain(own).collect();
    }
    let options = commands::all(Mode::Vsctl).flat_map(|syntax| syntax.options);
    let options = options.map(|option| {
        let value = match option.value {
            Value::Required => "=",
            Value::None | Value::Optional => "",
        };
        format!("{}{value}", option.name)
    });
    let globals = args::long_options().filter(|_| first);
    options.chain(globals).collect()
}

fn of_records(schema: &DatabaseSchema, table: &str, known: &[String]) -> Vec<String> {
    let table = schema::table(schema, table).map(|table| record_name(&table.name));
    match table {
        Ok(Some(RecordName::Only)) => vec![".".to_owned()],
        _ => known.to_vec(),
    }
}

fn of_columns(
    schema: &DatabaseSchema,
    table: &str,
    (key, value): (bool, bool),
    current: &str,
    known: &[String],
) -> Vec<String> {
    let Ok(table) = schema::table(schema, table) else {
        return Vec::new();
    };
    let end = if value { "=" } else { "" };
    if let Some((given, _)) = current.split_once(':') {
        return known
            .iter()
            .map(|key| format!("{given}:{key}{end}"))
            .collect();
    }
    if let Some((given, _)) = current.split_once('=') {
        let column = schema::column(table, given);
        let values = column.map(values).unwrap_or_default();
        return values
            .iter()
            .map(|value| format!("{given}={value}"))
            .collect();
    }
    let mut all = Vec::new();
    for column in &table.columns {
        all.push(format!("{}{end}", column.name));
        if key && column.ty.is_map() {
            all.push(format!("{}:", column.name));
        }
    }
    all
}

/// The values that a column may have, where they can be counted.
fn values(column: &ColumnSchema) -> Vec<String> {
    match (&column.ty.key.allowed, column.ty.key.ty) {
        (Some(allowed), _) => allowed.iter().map(atom_string).collect(),
        (None, AtomType::Boolean) => ["true", "false"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complete::place;

    fn offered(line: &str, current: &str, known: &[&str]) -> Vec<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        candidates(&DatabaseSchema::vswitch(), &place(&words), current, &known)
    }

    #[test]
    fn commands_and_options_are_offered() {
        assert_eq!(offered("", "br-e", &[]), ["br-exists"]);
        assert_eq!(offered("", "--no-w", &[]), ["--no-wait"]);
        assert_eq!(offered("list-br --", "--no-w", &[]), [""; 0]);
        assert_eq!(offered("", "--col", &[]), ["--color", "--columns="]);
        assert_eq!(offered("list-br --", "--if", &[]), ["--if-exists"]);
        assert_eq!(offered("", "comp", &[]), ["completion"]);
    }

    #[test]
    fn tables_records_and_columns_are_offered() {
        assert_eq!(offered("list", "Flow_T", &[]), ["Flow_Table"]);
        assert_eq!(offered("list open", "", &[]), ["."]);
        assert_eq!(offered("set Port", "p", &["p1", "p2", "x"]), ["p1", "p2"]);
        assert_eq!(offered("set Port p1", "tr", &[]), ["trunks="]);
        assert_eq!(offered("get Port p1", "tr", &[]), ["trunks"]);
        let ids = ["external_ids:", "external_ids="];
        assert_eq!(offered("set Port p1", "ext", &[]), ids);
    }

    #[test]
    fn keys_and_values_are_offered() {
        let keys = offered("set Port p1", "other-config:", &["a", "b"]);
        assert_eq!(keys, ["other-config:a=", "other-config:b="]);
        let modes = offered("add-port br0 p1", "vlan_mode=a", &[]);
        assert_eq!(modes, ["vlan_mode=access"]);
        let flags = offered("set Bridge br0", "stp_enable=", &[]);
        assert_eq!(flags, ["stp_enable=false", "stp_enable=true"]);
    }

    #[test]
    fn the_database_is_asked_only_for_names_that_matter() {
        let schema = DatabaseSchema::vswitch();
        let needed = |line: &str, current: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Names::needed(&schema, &place(&words), current)
                .map(|names| (names.table, names.columns))
        };
        let of = |table: &str, column: &str| Some((table.to_owned(), vec![column.to_owned()]));
        assert_eq!(needed("", "add"), None);
        assert_eq!(needed("del-br", ""), of("Bridge", "name"));
        assert_eq!(needed("list qos", ""), of("Port", "name"));
        assert_eq!(needed("list Manager", ""), of("Manager", "target"));
        assert_eq!(needed("set Port p1", "tag"), None);
        assert_eq!(
            needed("set Port p1", "other-config:"),
            of("Port", "other_config")
        );
    }
}
