//! What the command line and `ovsdb-server/add-remote` take: a remote or a file, or the column of
//! the database that has it. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use aorta_ovsdb::{AtomType, DatabaseSchema, Remote, RemoteError};

/// Where remotes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// It is one itself.
    Remote(Remote),
    /// `db:DB,TABLE,COLUMN`: strings, or references to rows with a column `target`.
    Column(ColumnSpec),
}

/// Where a file's name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSpec {
    /// It is one itself.
    Path(PathBuf),
    /// `db:DB,TABLE,COLUMN`: a string of the table's row.
    Column(ColumnSpec),
}

/// A column of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Name of the database.
    pub db: String,
    /// Its table.
    pub table: String,
    /// The table's column.
    pub column: String,
}

/// Neither a remote nor a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It is no remote.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Another number of parts.
    #[error("{0:?}: after \"db:\" belong database, table and column: DB,TABLE,COLUMN")]
    Form(String),
    /// The database has no such thing.
    #[error("{spec:?}: no {what} named {name}")]
    Unknown {
        /// All of it.
        spec: String,
        /// What is not there.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The column has something else in it.
    #[error("{spec:?}: column {column} of table {table} has no {wanted} in it")]
    Type {
        /// All of it.
        spec: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it should have.
        wanted: &'static str,
    },
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Spec, SpecError> {
        match ColumnSpec::of(text)? {
            Some(column) => Ok(Spec::Column(column)),
            None => Ok(Spec::Remote(text.parse()?)),
        }
    }
}

impl FromStr for FileSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<FileSpec, SpecError> {
        match ColumnSpec::of(text)? {
            Some(column) => Ok(FileSpec::Column(column)),
            None => Ok(FileSpec::Path(text.into())),
        }
    }
}

impl Spec {
    /// Makes sure that a column has remotes in it.
    pub fn check(&self, schema: &DatabaseSchema) -> Result<(), SpecError> {
        let Spec::Column(spec) = self else {
            return Ok(());
        };
        let key = spec.key(schema)?;
        let target = key
            .reference
            .as_ref()
            .and_then(|r| schema.table(&r.table)?.column("target"));
        if key.ty == AtomType::String || target.is_some() {
            Ok(())
        } else {
            Err(spec.wrong("strings and no references to rows with a column target"))
        }
    }
}

impl FileSpec {
    /// Makes sure that a column has file names in it.
    pub fn check(&self, schema: &DatabaseSchema) -> Result<(), SpecError> {
        match self {
            FileSpec::Column(spec) if spec.key(schema)?.ty != AtomType::String => {
                Err(spec.wrong("strings"))
            }
            _ => Ok(()),
        }
    }
}

impl ColumnSpec {
    /// A column of the database that the switch lives from.
    pub fn own(table: &str, column: &str) -> ColumnSpec {
        ColumnSpec {
            db: "Open_vSwitch".to_owned(),
            table: table.to_owned(),
            column: column.to_owned(),
        }
    }

    fn of(text: &str) -> Result<Option<ColumnSpec>, SpecError> {
        let Some(rest) = text.strip_prefix("db:") else {
            return Ok(None);
        };
        let parts: Vec<&str> = rest.split(',').collect();
        match parts[..] {
            [db, table, column] => Ok(Some(ColumnSpec {
                db: db.to_owned(),
                table: table.to_owned(),
                column: column.to_owned(),
            })),
            _ => Err(SpecError::Form(text.to_owned())),
        }
    }

    /// The type of the column's elements.
    fn key<'a>(&self, schema: &'a DatabaseSchema) -> Result<&'a aorta_ovsdb::BaseType, SpecError> {
        let unknown = |what, name: &str| SpecError::Unknown {
            spec: self.to_string(),
            what,
            name: name.to_owned(),
        };
        if *schema.name != *self.db {
            return Err(unknown("database", &self.db));
        }
        let table = schema.table(&self.table);
        let table = table.ok_or_else(|| unknown("table", &self.table))?;
        let column = table.column(&self.column);
        Ok(&column
            .ok_or_else(|| unknown("column", &self.column))?
            .ty
            .key)
    }

    fn wrong(&self, wanted: &'static str) -> SpecError {
        SpecError::Type {
            spec: self.to_string(),
            table: self.table.clone(),
            column: self.column.clone(),
            wanted,
        }
    }
}

impl std::fmt::Display for ColumnSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "db:{},{},{}", self.db, self.table, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let spec: Spec = text.parse().map_err(|e: SpecError| e.to_string())?;
        spec.check(&DatabaseSchema::vswitch())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn remotes_and_columns_with_remotes_are_taken() {
        for text in [
            "ptcp:6640",
            "punix:db.sock",
            "db:Open_vSwitch,Open_vSwitch,manager_options",
            "db:Open_vSwitch,Manager,target",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, wanted) in [
            ("db:x,y", "\"db:x,y\": after \"db:\" belong database"),
            ("db:x,y,z", "\"db:x,y,z\": no database named x"),
            (
                "db:Open_vSwitch,y,z",
                "\"db:Open_vSwitch,y,z\": no table named y",
            ),
            (
                "db:Open_vSwitch,SSL,z",
                "\"db:Open_vSwitch,SSL,z\": no column named z",
            ),
            (
                "db:Open_vSwitch,Open_vSwitch,next_cfg",
                "\"db:Open_vSwitch,Open_vSwitch,next_cfg\": column",
            ),
            (
                "db:Open_vSwitch,Open_vSwitch,ssl",
                "\"db:Open_vSwitch,Open_vSwitch,ssl\": column",
            ),
            ("nonsense", "\"nonsense\" is not a remote"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
        let file: FileSpec = "db:Open_vSwitch,SSL,bootstrap_ca_cert".parse().unwrap();
        assert!(file.check(&DatabaseSchema::vswitch()).is_err());
        let file: FileSpec = "db:Open_vSwitch,SSL,ca_cert".parse().unwrap();
        assert_eq!(file.check(&DatabaseSchema::vswitch()), Ok(()));
        let path = FileSpec::Path("/a/b,c".into());
        assert_eq!("/a/b,c".parse(), Ok(path));
    }
}
