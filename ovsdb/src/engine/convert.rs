//! Giving the database another schema while clients are connected (`convert`).
use aorta_stream::describe;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::requests::{Answer, refused};
use super::server_db::set_schema;
use super::{Client, Engine, MAIN, SessionId, notification, now_ms};
use crate::db::{ConvertError, Db};
use crate::error::{ErrorKind, OpError};
use crate::jsonrpc::Message;
use crate::schema::DatabaseSchema;

/// Position of the database that tells about the others.
const SERVER: usize = 1;

impl Engine {
    /// Converts a database. Nothing has changed if it can't be done, or the log not be written.
    pub(super) fn convert(&mut self, session: SessionId, params: &[Value], id: &Value) -> Answer {
        let at = self.database("convert", params)?;
        let [_, schema] = params else {
            return Err(refused(ErrorKind::Syntax, "array expected", params));
        };
        let refused = |kind, words: String| OpError::new(kind, words).to_json();
        let schema = DatabaseSchema::from_json(schema.clone())
            .map_err(|error| refused(ErrorKind::Syntax, error.to_string()))?;
        let schema = Arc::new(schema);
        let Some(database) = self.databases.get_mut(at) else {
            return Ok(None);
        };
        if database.read_only {
            let words = "convert: this database is the server's own";
            return Err(refused(ErrorKind::NotAllowed, words.to_owned()));
        }
        let own = &database.db.schema().name;
        if schema.name != *own {
            let words = format!("the schema is that of {}, not of {own}", schema.name);
            return Err(refused(ErrorKind::Constraint, words));
        }
        if let Some(missing) = schema.lacks(&DatabaseSchema::vswitch()) {
            let words = format!("the switch can't do without what the new schema lacks: {missing}");
            return Err(refused(ErrorKind::NotAllowed, words));
        }
        let converted = database.db.convert(&schema, &mut Uuid::new_v4);
        let new = converted.map_err(|error| conversion_error(&error))?;
        if let Some(log) = &mut database.log
            && let Err(error) = log.rewrite(&new, now_ms())
        {
            let words = describe(&error);
            tracing::error!("not converted: {words}");
            self.flush_or_cure();
            return Err(refused(ErrorKind::Io, words));
        }
        let old = std::mem::replace(&mut database.db, new);
        tracing::info!(
            "database {} converted from version {} to {}",
            schema.name,
            old.schema().version,
            schema.version
        );
        self.compactor.ended(&Ok(()));
        self.converted(at, &old, session, id);
        Ok(None)
    }

    /// Tells everybody who has to do with the database.
    fn converted(&mut self, at: usize, old: &Db, session: SessionId, id: &Value) {
        let aware = self.sessions.get(&session).is_none_or(|s| s.change_aware);
        self.cancel_monitors(at, session);
        self.cancel_blocked(at);
        let Some(new) = self.databases.get(at).map(|d| d.db.clone()) else {
            return;
        };
        if at == MAIN {
            let delta = Arc::new(new.delta_since_conversion(old));
            self.subscribers
                .retain(|s| s.send(Arc::clone(&delta)).is_ok());
        }
        if let Some(server) = self.databases.get_mut(SERVER) {
            let delta = Arc::new(set_schema(&mut server.db, new.schema()));
            self.publish(SERVER, &delta, None);
        }
        self.changed = true;
        let (id, result, error) = (id.clone(), json!({}), Value::Null);
        self.send(session, &Message::Reply { id, result, error });
        if !aware && let Some(state) = self.forget(session) {
            // Its reply comes first.
            state.outbox.end();
        }
    }

    /// Ends the monitors of clients that know what a conversion is, and the connections of others.
    fn cancel_monitors(&mut self, at: usize, requester: SessionId) {
        let mut gone = Vec::new();
        for (session, state) in &mut self.sessions {
            if !state.change_aware {
                gone.extend((*session != requester).then_some(*session));
                continue;
            }
            let cancelled = state.monitors.extract_if(.., |m| m.database == at);
            let told: Vec<bool> = cancelled
                .map(|m| notification("monitor_canceled", vec![m.id]))
                .map(|message| state.outbox.send(message.to_text()))
                .collect();
            gone.extend(told.contains(&false).then_some(*session));
        }
        for session in gone {
            self.disconnect(session);
        }
    }

    /// Transactions that wait were meant for the old schema.
    fn cancel_blocked(&mut self, at: usize) {
        for job in self
            .blocked
            .extract_if(.., |job| job.database == at)
            .collect::<Vec<_>>()
        {
            match job.client {
                Client::Session { session, id } => {
                    let (result, error) = (Value::Null, json!("canceled"));
                    self.send(session, &Message::Reply { id, result, error });
                }
                Client::Internal(reply) => {
                    let words = "the database has been given another schema";
                    let error = OpError::new(ErrorKind::Aborted, words);
                    // Whoever asked may have gone.
                    let _ = reply.send(vec![error.to_json()]);
                }
            }
        }
    }
}

/// The kind is that of the cause.
fn conversion_error(error: &ConvertError) -> Value {
    let (ConvertError::Value { source, .. } | ConvertError::Inconsistent(source)) = error;
    OpError::new(source.kind, format!("{error}: {}", source.details)).to_json()
}
