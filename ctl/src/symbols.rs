//! Row names of one invocation: `--id=@name` gives them, `@name` in values uses them
//! (ovs-vsctl(8), Database Values).

use std::collections::BTreeMap;

use aorta_ovsdb::Uuid;

use crate::error::Error;

#[derive(Debug, Clone, Copy)]
struct Symbol {
    row: Uuid,
    defined: bool,
    used: bool,
    /// A warning is due if nothing refers to the row.
    needs_reference: bool,
}

/// All names that the commands so far have mentioned.
#[derive(Debug, Default)]
pub struct Symbols(BTreeMap<String, Symbol>);

impl Symbols {
    /// The row that a value's `@name` stands for; its definition may come later.
    pub fn reference(&mut self, name: &str) -> Uuid {
        let symbol = self.entry(name);
        symbol.used = true;
        symbol.row
    }

    /// Defines a name for a row that is created now; answers the id to create it under.
    pub fn define_new(&mut self, name: &str, needs_reference: bool) -> Result<Uuid, Error> {
        check_name(name)?;
        let symbol = self.entry(name);
        if symbol.defined {
            return Err(Error::RowIdTwice {
                id: name.to_owned(),
            });
        }
        symbol.defined = true;
        symbol.needs_reference = needs_reference;
        Ok(symbol.row)
    }

    /// Defines a name for a row that exists.
    pub fn define_existing(&mut self, name: &str, row: Uuid) -> Result<(), Error> {
        check_name(name)?;
        let id = name.to_owned();
        match self.0.get(name) {
            Some(symbol) if symbol.defined => Err(Error::RowIdTwice { id }),
            Some(_) => Err(Error::RowIdTooLate { id }),
            None => {
                let symbol = Symbol {
                    row,
                    defined: true,
                    used: true,
                    needs_reference: false,
                };
                self.0.insert(id, symbol);
                Ok(())
            }
        }
    }

    /// Checks that each name used is defined; answers those that are defined in vain.
    pub fn check(&self) -> Result<Vec<&str>, Error> {
        if let Some((name, _)) = self.0.iter().find(|(_, symbol)| !symbol.defined) {
            return Err(Error::RowIdUnknown { id: name.clone() });
        }
        let in_vain = self
            .0
            .iter()
            .filter(|(_, symbol)| symbol.needs_reference && !symbol.used);
        Ok(in_vain.map(|(name, _)| name.as_str()).collect())
    }

    fn entry(&mut self, name: &str) -> &mut Symbol {
        self.0.entry(name.to_owned()).or_insert_with(|| Symbol {
            row: Uuid::new_v4(),
            defined: false,
            used: false,
            needs_reference: false,
        })
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.starts_with('@') {
        Ok(())
    } else {
        Err(Error::BadRowId {
            id: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_may_precede_its_definition() {
        let mut symbols = Symbols::default();
        let row = symbols.reference("@q");
        assert_eq!(
            symbols.check(),
            Err(Error::RowIdUnknown { id: "@q".into() })
        );
        assert_eq!(symbols.define_new("@q", true), Ok(row));
        assert_eq!(symbols.check(), Ok(vec![]));
        assert_eq!(
            symbols.define_new("@q", true),
            Err(Error::RowIdTwice { id: "@q".into() })
        );
    }

    #[test]
    fn a_name_without_use_is_reported() {
        let mut symbols = Symbols::default();
        symbols.define_new("@m", true).unwrap();
        symbols.define_new("@root", false).unwrap();
        assert_eq!(symbols.check(), Ok(vec!["@m"]));
    }

    #[test]
    fn a_name_for_an_existing_row_must_come_before_its_use() {
        let mut symbols = Symbols::default();
        let row = Uuid::from_u128(7);
        symbols.define_existing("@p", row).unwrap();
        assert_eq!(symbols.reference("@p"), row);
        symbols.reference("@x");
        let late = symbols.define_existing("@x", row);
        assert_eq!(late, Err(Error::RowIdTooLate { id: "@x".into() }));
        assert_eq!(
            symbols.define_existing("p", row),
            Err(Error::BadRowId { id: "p".into() })
        );
    }
}
