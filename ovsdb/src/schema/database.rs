//! Tables and databases (RFC 7047 §3.2 `<table-schema>`, `<database-schema>`).
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::{BaseType, ColumnSchema, SchemaError, flag};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: Arc<str>,
    /// Its columns in ascending order of their names, without `_uuid` and `_version`.
    pub columns: Vec<ColumnSchema>,
    /// Whether rows live without being referred to.
    pub is_root: bool,
    /// Greatest number of rows; `usize::MAX` for unlimited.
    pub max_rows: usize,
    /// Sets of columns (positions in `columns`) that no two rows may agree in.
    pub indexes: Vec<Vec<usize>>,
}

impl TableSchema {
    /// Position of a column by name.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns
            .binary_search_by(|c| (*c.name).cmp(column))
            .ok()
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.position(name).and_then(|at| self.columns.get(at))
    }

    fn from_json(name: &str, json: &Value, roots_marked: bool) -> Result<Self, SchemaError> {
        let columns = json
            .get("columns")
            .and_then(Value::as_object)
            .ok_or_else(|| SchemaError::new("no columns"))?;
        let mut columns = columns
            .iter()
            .map(|(name, json)| ColumnSchema::from_json(name, json).map_err(|e| e.within(name)))
            .collect::<Result<Vec<_>, _>>()?;
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let max_rows = match json.get("maxRows") {
            None => usize::MAX,
            Some(n) => n
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| SchemaError::new(format!("maxRows is {n}")))?,
        };
        // A schema without any isRoot keeps every row (RFC 7047 §3.2).
        let is_root = !roots_marked || flag(json, "isRoot", false)?;
        let mut table = Self {
            name: name.into(),
            columns,
            is_root,
            max_rows,
            indexes: Vec::new(),
        };
        let indexes = json
            .get("indexes")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        for index in indexes {
            table.indexes.push(table.parse_index(index)?);
        }
        Ok(table)
    }

    fn parse_index(&self, json: &Value) -> Result<Vec<usize>, SchemaError> {
        let bad = || SchemaError::new(format!("{json} is not an index of this table"));
        let names = json.as_array().ok_or_else(bad)?;
        names
            .iter()
            .map(|name| self.position(name.as_str()?))
            .collect::<Option<_>>()
            .ok_or_else(bad)
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseSchema {
    /// Its name.
    pub name: Arc<str>,
    /// Its version, three numbers with dots.
    pub version: Arc<str>,
    /// Its tables in ascending order of their names.
    pub tables: Vec<Arc<TableSchema>>,
    json: Value,
}

impl DatabaseSchema {
    /// Parses RFC 7047 §3.2 `<database-schema>`.
    ///
    /// # Errors
    /// If a part has the wrong form or a reference leads to no table.
    pub fn from_json(json: Value) -> Result<Self, SchemaError> {
        let text = |member: &str| {
            json.get(member)
                .and_then(Value::as_str)
                .map(Arc::<str>::from)
        };
        let name = text("name").ok_or_else(|| SchemaError::new("no name"))?;
        let version = text("version").unwrap_or_else(|| "0.0.0".into());
        let tables = json
            .get("tables")
            .and_then(Value::as_object)
            .ok_or_else(|| SchemaError::new("no tables"))?;
        let roots_marked = tables
            .values()
            .any(|t| t.get("isRoot") == Some(&Value::Bool(true)));
        let mut tables = tables
            .iter()
            .map(|(name, json)| {
                let table = TableSchema::from_json(name, json, roots_marked);
                table.map(Arc::new).map_err(|e| e.within(name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        let schema = Self {
            name,
            version,
            tables,
            json,
        };
        schema.check_references()?;
        Ok(schema)
    }

    /// The `Open_vSwitch` schema, version 8.3.1, that OVS 3.1 serves.
    pub fn vswitch() -> Arc<Self> {
        static SCHEMA: LazyLock<Arc<DatabaseSchema>> =
            LazyLock::new(|| embedded(include_str!("../../schema/vswitch.ovsschema")));
        Arc::clone(&SCHEMA)
    }

    /// The `_Server` schema, version 1.2.0: the databases that a server offers.
    pub fn server() -> Arc<Self> {
        static SCHEMA: LazyLock<Arc<DatabaseSchema>> =
            LazyLock::new(|| embedded(include_str!("../../schema/server.ovsschema")));
        Arc::clone(&SCHEMA)
    }

    /// The schema as it was parsed.
    pub fn to_json(&self) -> &Value {
        &self.json
    }

    /// Position of a table by name.
    pub fn position(&self, table: &str) -> Option<usize> {
        self.tables.binary_search_by(|t| (*t.name).cmp(table)).ok()
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.position(name).and_then(|at| self.tables.get(at))
    }

    /// Whether programs written for `other` can use this schema: every table and column is here,
    /// with elements of the same type and no fewer of them allowed. So it is with the schemas of
    /// later versions of Open vSwitch.
    pub fn covers(&self, other: &Self) -> bool {
        self.lacks(other).is_none()
    }

    /// In words, the first thing because of which this schema doesn't cover `other`.
    pub fn lacks(&self, other: &Self) -> Option<String> {
        if self.name != other.name {
            return Some(format!("the name {}", other.name));
        }
        other.tables.iter().find_map(|theirs| {
            let Some(ours) = self.table(&theirs.name) else {
                return Some(format!("table {}", theirs.name));
            };
            theirs.columns.iter().find_map(|column| {
                let words = format!("column {} of table {}", column.name, theirs.name);
                match ours.column(&column.name) {
                    None => Some(words),
                    Some(own) if !fits(own, column) => Some(format!("{words} with its type")),
                    Some(_) => None,
                }
            })
        })
    }

    /// The version's three numbers, 0 for what is none.
    pub fn version_numbers(&self) -> [u64; 3] {
        let mut numbers = self.version.split('.').map(|n| n.parse().unwrap_or(0));
        std::array::from_fn(|_| numbers.next().unwrap_or(0))
    }

    fn check_references(&self) -> Result<(), SchemaError> {
        for table in &self.tables {
            for column in &table.columns {
                let bases = [Some(&column.ty.key), column.ty.value.as_ref()];
                if let Some(missing) = bases.into_iter().flatten().find_map(|b| self.missing(b)) {
                    let error = SchemaError::new(format!("refTable {missing} is not a table"));
                    return Err(error.within(&column.name).within(&table.name));
                }
            }
        }
        Ok(())
    }

    fn missing(&self, base: &BaseType) -> Option<Arc<str>> {
        let table = &base.reference.as_ref()?.table;
        self.table(table).is_none().then(|| Arc::clone(table))
    }
}

fn fits(ours: &ColumnSchema, theirs: &ColumnSchema) -> bool {
    let types = |c: &ColumnSchema| (c.ty.key.ty, c.ty.value.as_ref().map(|value| value.ty));
    types(ours) == types(theirs) && ours.ty.min == theirs.ty.min && ours.ty.max >= theirs.ty.max
}

/// A schema that is part of this crate; the tests parse each, so it can't fail at run time.
fn embedded(text: &str) -> Arc<DatabaseSchema> {
    let parsed = serde_json::from_str(text)
        .ok()
        .and_then(|j| DatabaseSchema::from_json(j).ok());
    let empty = || DatabaseSchema {
        name: "".into(),
        version: "".into(),
        tables: Vec::new(),
        json: Value::Null,
    };
    Arc::new(parsed.unwrap_or_else(empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_vswitch_schema_is_that_of_ovs_3_1() {
        let schema = DatabaseSchema::vswitch();
        assert_eq!((&*schema.name, &*schema.version), ("Open_vSwitch", "8.3.1"));
        let roots: Vec<_> = schema
            .tables
            .iter()
            .filter(|t| t.is_root)
            .map(|t| &*t.name)
            .collect();
        assert_eq!(
            roots,
            ["Flow_Sample_Collector_Set", "Open_vSwitch", "QoS", "Queue"]
        );
        let interface = schema.table("Interface").unwrap();
        assert_eq!(
            interface.indexes,
            [vec![interface.position("name").unwrap()]]
        );
        assert!(!interface.column("name").unwrap().mutable);
        assert!(interface.column("statistics").unwrap().ephemeral);
        assert_eq!(schema.table("Open_vSwitch").unwrap().max_rows, 1);
        let port = &schema
            .table("Mirror")
            .unwrap()
            .column("output_port")
            .unwrap()
            .ty;
        assert!(port.is_optional() && !port.key.reference.as_ref().unwrap().strong);
    }

    #[test]
    fn the_server_schema_has_its_one_table() {
        let schema = DatabaseSchema::server();
        assert_eq!(&*schema.name, "_Server");
        assert!(schema.table("Database").unwrap().is_root);
    }

    #[test]
    fn a_later_schema_covers_an_earlier_one_and_not_the_other_way_round() {
        let earlier = DatabaseSchema::vswitch();
        let mut json = earlier.to_json().clone();
        json["version"] = json!("8.9.0");
        json["tables"]["Bridge"]["columns"]["novelty"] = json!({"type": "string"});
        let later = DatabaseSchema::from_json(json).unwrap();
        assert!(later.covers(&earlier) && earlier.covers(&earlier));
        assert!(!earlier.covers(&later) && !later.covers(&DatabaseSchema::server()));
        let lacks = earlier.lacks(&later);
        assert_eq!(lacks.as_deref(), Some("column novelty of table Bridge"));
        assert!(earlier.version_numbers() < later.version_numbers());
    }

    #[test]
    fn faults_are_located() {
        let schema = json!({"name": "d", "version": "1.0.0", "tables": {"t": {"columns": {
            "c": {"type": {"key": {"type": "uuid", "refTable": "nowhere"}}}}}}});
        let error = DatabaseSchema::from_json(schema).unwrap_err();
        assert_eq!(error.at, "t.c");
    }
}
