//! What the daemon writes into the database.

use aorta_ovsdb::{StoreError, op};
use serde_json::Value;
use tracing::error;

use super::{Daemon, DaemonError};
use crate::identity::Host;
use crate::reconcile::{Datapath, Effects};
use crate::writeback::RowUpdate;

impl<E: Effects, D: Datapath> Daemon<E, D> {
    /// Makes sure that there is a row of table Open_vSwitch, and that it tells about the host.
    pub(super) async fn identify(&mut self, host: &Host) -> Result<(), DaemonError> {
        let mut db = self.store.snapshot().await?;
        if db.rows("Open_vSwitch").next().is_none() {
            let insert = op::insert("Open_vSwitch", None, op::Columns::new());
            self.store.transact(Value::Array(vec![insert])).await?;
            db = self.store.snapshot().await?;
        }
        let Some(row) = db.rows("Open_vSwitch").next() else {
            return Ok(());
        };
        let (uuid, columns) = (row.uuid(), host.columns(row));
        if !columns.is_empty() {
            self.transact(vec![RowUpdate {
                table: "Open_vSwitch",
                uuid,
                columns,
            }])
            .await?;
        }
        Ok(())
    }

    /// Writes rows. What can't be written is tried again with the next change.
    pub(super) async fn write(&mut self, updates: Vec<RowUpdate>) {
        if updates.is_empty() {
            return;
        }
        if let Err(error) = self.transact(updates).await {
            error!(
                "cannot write the switch's state: {}",
                crate::errors::line(&error)
            );
            self.switch.unpublish();
        }
    }

    async fn transact(&self, updates: Vec<RowUpdate>) -> Result<(), StoreError> {
        let operation = |update: RowUpdate| {
            let columns = update.columns.into_iter();
            let row = columns.fold(op::Columns::new(), |row, (column, datum)| {
                row.set(column, datum)
            });
            op::update(update.table, update.uuid, row)
        };
        let operations = updates.into_iter().map(operation).collect();
        self.store
            .transact(Value::Array(operations))
            .await
            .map(drop)
    }
}
