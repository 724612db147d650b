//! How records may be named, table by table.

use aorta_ovsdb::DatabaseSchema;

use crate::schema::{RecordName, record_name};

/// A line for each table whose records have other names than their ids.
pub(super) fn text() -> String {
    let mut text = String::from(
        "A record is named by its id, by enough of its beginning (4 digits or more), by . if it is\n\
         the only one, or:\n",
    );
    for table in &DatabaseSchema::vswitch().tables {
        let way = match record_name(&table.name) {
            Some(RecordName::Column(column)) => format!("by {column}"),
            Some(RecordName::Via(via, column)) => {
                format!("by the name of the {via} whose {column} it is")
            }
            None | Some(RecordName::Only) => continue,
        };
        text.push_str(&format!("  {}: {way}\n", table.name));
    }
    text
}
