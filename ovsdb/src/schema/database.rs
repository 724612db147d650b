//! Tables and databases (RFC 7047 §3.2 `<table-schema>`, `<database-schema>`).
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::{BaseType, ColumnSchema, SchemaError, flag, known_members};
use crate::json::{is_id, whole_number};

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
        let object = json.as_object();
        let object = object.ok_or_else(|| SchemaError::new("a table is an object"))?;
        known_members(object, &["columns", "maxRows", "isRoot", "indexes"])?;
        if name.starts_with('_') || !is_id(name) {
            return Err(SchemaError::new("no name that a table may have"));
        }
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
                .as_number()
                .and_then(whole_number)
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| (1..=u32::MAX as usize).contains(n))
                .map(|n| {
                    if n == u32::MAX as usize {
                        usize::MAX
                    } else {
                        n
                    }
                })
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
        let no_array = || SchemaError::new("indexes is not an array");
        let indexes = json
            .get("indexes")
            .map(|i| i.as_array().ok_or_else(no_array));
        for index in indexes.transpose()?.into_iter().flatten() {
            table.indexes.push(table.parse_index(index)?);
        }
        Ok(table)
    }

    fn parse_index(&self, json: &Value) -> Result<Vec<usize>, SchemaError> {
        let bad = || SchemaError::new(format!("{json} is not an index of this table"));
        let names = json.as_array().filter(|n| !n.is_empty()).ok_or_else(bad)?;
        let mut index = Vec::with_capacity(names.len());
        for name in names {
            let at = name.as_str().and_then(|name| self.position(name));
            let at = at.filter(|at| !index.contains(at)).ok_or_else(bad)?;
            if self.columns.get(at).is_some_and(|column| column.ephemeral) {
                return Err(SchemaError::new(format!(
                    "{name} is ephemeral and in an index"
                )));
            }
            index.push(at);
        }
        Ok(index)
    }

    /// The table as RFC 7047 §3.2 `<table-schema>`, in its shortest form. `isRoot` is told
    /// unless every table is a root.
    fn to_json(&self, tell_root: bool) -> Value {
        let name = |at: &usize| self.columns.get(*at).map(|c| json!(&*c.name));
        let index = |columns: &Vec<usize>| columns.iter().filter_map(name).collect::<Value>();
        let columns = self
            .columns
            .iter()
            .map(|c| (c.name.to_string(), c.to_json()));
        let mut object = Map::new();
        object.insert("columns".to_owned(), Value::Object(columns.collect()));
        if self.max_rows < u32::MAX as usize {
            object.insert("maxRows".to_owned(), json!(self.max_rows));
        }
        if tell_root && self.is_root {
            object.insert("isRoot".to_owned(), json!(true));
        }
        if !self.indexes.is_empty() {
            let indexes = self.indexes.iter().map(index).collect();
            object.insert("indexes".to_owned(), indexes);
        }
        Value::Object(object)
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
        let object = json.as_object();
        let object = object.ok_or_else(|| SchemaError::new("a schema is an object"))?;
        known_members(object, &["name", "version", "cksum", "tables"])?;
        let text = |member: &str| {
            let no_text = || SchemaError::new(format!("{member} is not a string"));
            let value = json.get(member).map(|v| v.as_str().ok_or_else(no_text));
            Ok::<_, SchemaError>(value.transpose()?.map(Arc::<str>::from))
        };
        let name = text("name")?.filter(|name| is_id(name));
        let name = name.ok_or_else(|| SchemaError::new("no name"))?;
        let version = text("version")?;
        if let Some(wrong) = version.as_ref().filter(|v| !is_version(v)) {
            return Err(SchemaError::new(format!("version {wrong} is not x.y.z")));
        }
        let checksum = text("cksum")?;
        let tables = json
            .get("tables")
            .and_then(Value::as_object)
            .ok_or_else(|| SchemaError::new("no tables"))?;
        let roots_marked = tables
            .values()
            .any(|t| t.get("isRoot") == Some(&Value::Bool(true)));
        let tables = tables.iter().map(|(name, json)| {
            let table = TableSchema::from_json(name, json, roots_marked);
            table.map_err(|e| e.within(name))
        });
        let mut tables = tables.collect::<Result<Vec<_>, _>>()?;
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        check_references(&tables)?;
        settle_columns(&mut tables);
        let tables: Vec<_> = tables.into_iter().map(Arc::new).collect();
        let json = written(&name, version.as_deref(), checksum.as_deref(), &tables);
        let version = version.unwrap_or_else(|| "0.0.0".into());
        Ok(Self {
            name,
            version,
            tables,
            json,
        })
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

    /// The schema as RFC 7047 §3.2 `<database-schema>`: what was parsed, in its shortest form.
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
}

/// Whether a text is three numbers with dots between them.
fn is_version(text: &str) -> bool {
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<&str> = text.split('.').collect();
    numbers.len() == 3 && numbers.into_iter().all(is_number)
}

fn bases(column: &ColumnSchema) -> impl Iterator<Item = &BaseType> {
    std::iter::once(&column.ty.key).chain(column.ty.value.as_ref())
}

fn find<'a>(tables: &'a [TableSchema], name: &str) -> Option<&'a TableSchema> {
    let at = tables.binary_search_by(|t| (*t.name).cmp(name)).ok()?;
    tables.get(at)
}

fn check_references(tables: &[TableSchema]) -> Result<(), SchemaError> {
    for table in tables {
        for column in &table.columns {
            let mut references = bases(column).filter_map(|base| base.reference.as_ref());
            if let Some(missing) = references.find(|r| find(tables, &r.table).is_none()) {
                let words = format!("refTable {} is not a table", missing.table);
                let error = SchemaError::new(words);
                return Err(error.within(&column.name).within(&table.name));
            }
        }
    }
    Ok(())
}

/// Makes columns lasting that keep rows alive, and those mutable that lose references to rows
/// that go, whatever the schema says.
fn settle_columns(tables: &mut [TableSchema]) {
    let is_root: Vec<(Arc<str>, bool)> = tables
        .iter()
        .map(|table| (Arc::clone(&table.name), table.is_root))
        .collect();
    let keeps = |base: &BaseType| {
        let strong = base.reference.as_ref().filter(|r| r.strong);
        strong.is_some_and(|r| is_root.iter().any(|(name, root)| *name == r.table && !root))
    };
    let is_weak = |base: &BaseType| base.reference.as_ref().is_some_and(|r| !r.strong);
    for column in tables.iter_mut().flat_map(|table| &mut table.columns) {
        let (keeps, loses) = (bases(column).any(keeps), bases(column).any(is_weak));
        column.ephemeral &= !keeps;
        column.mutable |= loses;
    }
}

/// A schema in its shortest form.
fn written(
    name: &str,
    version: Option<&str>,
    checksum: Option<&str>,
    tables: &[Arc<TableSchema>],
) -> Value {
    let tell_root = !tables.iter().all(|table| table.is_root);
    let tables = tables
        .iter()
        .map(|t| (t.name.to_string(), t.to_json(tell_root)));
    let mut object = Map::new();
    object.insert("name".to_owned(), json!(name));
    object.extend(version.map(|version| ("version".to_owned(), json!(version))));
    object.extend(
        checksum
            .filter(|c| !c.is_empty())
            .map(|c| ("cksum".to_owned(), json!(c))),
    );
    object.insert("tables".to_owned(), Value::Object(tables.collect()));
    Value::Object(object)
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
