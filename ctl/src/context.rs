//! Where commands run: the transaction, the names of rows, and what is printed.

use std::rc::Rc;

use aorta_ovsdb::Uuid;

use crate::args::Mode;
use crate::error::Warning;
use crate::model::Model;
use crate::output::Output;
use crate::symbols::Symbols;
use crate::txn::Txn;

/// The state that the commands of one invocation share.
#[derive(Debug)]
pub struct Context<'v> {
    /// How the program was called.
    pub mode: Mode,
    /// The transaction so far.
    pub txn: Txn<'v>,
    /// Names of rows.
    pub symbols: Symbols,
    /// What the current command prints.
    pub out: Output,
    /// Interfaces that were added, to be checked once the switch has taken them over.
    pub new_interfaces: Vec<(Uuid, String)>,
    /// Warnings for the user.
    pub warnings: Vec<Warning>,
    /// Whether the commands have to run again when the database has changed.
    pub try_again: bool,
    /// Status to exit with at once, without any further command.
    pub exit: Option<i32>,
    model: Option<(u64, Rc<Model>)>,
}

impl<'v> Context<'v> {
    /// A context without changes.
    pub fn new(mode: Mode, txn: Txn<'v>) -> Context<'v> {
        Context {
            mode,
            txn,
            symbols: Symbols::default(),
            out: Output::default(),
            new_interfaces: Vec::new(),
            warnings: Vec::new(),
            try_again: false,
            exit: None,
            model: None,
        }
    }

    /// Bridges, ports and interfaces by name at this point.
    pub fn model(&mut self) -> Rc<Model> {
        let version = self.txn.layout_version();
        match &self.model {
            Some((known, model)) if *known == version => Rc::clone(model),
            _ => {
                let model = Rc::new(Model::read(&self.txn));
                self.model = Some((version, Rc::clone(&model)));
                model
            }
        }
    }

    /// Takes a port that was just added to a real bridge into the model, so that it needn't be
    /// read anew. The model must have been current before.
    pub fn note_port(&mut self, bridge: &str, row: Uuid, name: &str) {
        if let Some((version, model)) = &mut self.model {
            Rc::make_mut(model).add_port(&self.txn, bridge, row, name);
            *version = self.txn.layout_version();
        }
    }

    /// The only row of table Open_vSwitch; made if the database is empty.
    pub fn root(&mut self) -> Uuid {
        let found = self.txn.rows("Open_vSwitch").first().copied();
        found.unwrap_or_else(|| self.txn.insert("Open_vSwitch", None))
    }
}
