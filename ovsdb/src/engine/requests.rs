//! The methods that clients call (RFC 7047 §4.1 and Open vSwitch's extensions).
use serde_json::{Value, json};
use uuid::Uuid;

use super::session::UpdateText;
use super::{Client, Engine, SessionId, SessionMonitor, notification};
use crate::error::{ErrorKind, OpError};
use crate::json::{is_id, with_integers};
use crate::jsonrpc::Message;
use crate::monitor::{Monitor, MonitorVersion};
use crate::value::{write_uuid, write_value};

/// How many transactions of one client may wait at a time.
const MAX_BLOCKED: usize = 100;

/// A reply's `result` or `error`; nothing where the reply comes later.
pub(super) type Answer = Result<Option<Value>, Value>;

impl Engine {
    pub(super) fn message(&mut self, session: SessionId, message: Message) {
        match message {
            Message::Request { method, params, id } => {
                let (result, error) = match self.request(session, &method, params, &id) {
                    Ok(None) => return,
                    Ok(Some(result)) => (result, Value::Null),
                    Err(error) => (Value::Null, error),
                };
                self.send(session, &Message::Reply { id, result, error });
            }
            Message::Notification { method, params } if method == "cancel" => {
                self.cancel(session, &params);
            }
            // The answer to a sign of life that was asked for.
            Message::Reply { id, .. } if id == "echo" => {}
            Message::Reply { .. } => {
                if let Some(state) = self.forget(session) {
                    state.outbox.end();
                }
            }
            Message::Notification { .. } => {}
        }
    }

    fn request(
        &mut self,
        session: SessionId,
        method: &str,
        params: Vec<Value>,
        id: &Value,
    ) -> Answer {
        match method {
            "echo" => Ok(Some(with_integers(Value::Array(params)))),
            "list_dbs" => {
                let names = self.databases.iter().map(|d| json!(&*d.db.schema().name));
                Ok(Some(names.collect()))
            }
            "get_schema" => {
                let at = self.database(method, &params)?;
                Ok(self
                    .databases
                    .get(at)
                    .map(|d| d.db.schema().to_json().clone()))
            }
            "get_server_id" => Ok(Some(json!(self.server_id.to_string()))),
            "transact" => self.transact(session, params, id),
            "monitor" => self.monitor(session, method, &params, MonitorVersion::V1, id),
            "monitor_cond" => self.monitor(session, method, &params, MonitorVersion::V2, id),
            "monitor_cond_since" => self.monitor(session, method, &params, MonitorVersion::V3, id),
            "monitor_cond_change" => self.monitor_cond_change(session, &params),
            "monitor_cancel" => self.monitor_cancel(session, &params),
            "lock" | "steal" | "unlock" => self.lock(session, method, &params),
            "set_db_change_aware" => self.set_db_change_aware(session, &params),
            "convert" => self.convert(session, &params, id),
            _ => Err(json!("unknown method")),
        }
    }

    /// The database that the first parameter names.
    pub(super) fn database(&self, method: &str, params: &[Value]) -> Result<usize, Value> {
        let Some(Value::String(name)) = params.first() else {
            let words = format!("{method} request params must begin with <db-name>");
            return Err(refused(ErrorKind::Syntax, words, params));
        };
        let mut databases = self.databases.iter();
        let at = databases.position(|d| *d.db.schema().name == **name);
        at.ok_or_else(|| {
            let words = format!("{method} request specifies unknown database {name}");
            refused(ErrorKind::UnknownDatabase, words, params)
        })
    }

    fn transact(&mut self, session: SessionId, mut params: Vec<Value>, id: &Value) -> Answer {
        let database = self.database("transact", &params)?;
        let mine = self.blocked.iter().filter(|job| job.client.is(session));
        let ids: Vec<_> = mine.map(|job| job.client.id()).collect();
        if ids.contains(&Some(id)) {
            let words = "transact: duplicate request ID";
            return Err(refused(ErrorKind::Syntax, words, &params));
        }
        if ids.len() >= MAX_BLOCKED {
            let words = format!("{MAX_BLOCKED} transactions wait already");
            return Err(OpError::new(ErrorKind::ResourcesExhausted, words).to_json());
        }
        let operations = params.split_off(1);
        self.start(
            Client::Session {
                session,
                id: id.clone(),
            },
            database,
            operations,
        );
        Ok(None)
    }

    fn cancel(&mut self, session: SessionId, params: &[Value]) {
        let [wanted] = params else { return };
        let is_wanted = |c: &Client| c.is(session) && c.id() == Some(wanted);
        let cancelled = self.blocked.iter().position(|job| is_wanted(&job.client));
        let Some(at) = cancelled else { return };
        self.blocked.remove(at);
        // Open vSwitch answers only those clients that know of it.
        if self.sessions.get(&session).is_some_and(|s| s.change_aware) {
            let (id, error) = (wanted.clone(), json!("canceled"));
            self.send(
                session,
                &Message::Reply {
                    id,
                    result: Value::Null,
                    error,
                },
            );
        }
    }

    fn monitor(
        &mut self,
        session: SessionId,
        method: &str,
        params: &[Value],
        version: MonitorVersion,
        request: &Value,
    ) -> Answer {
        let at = self.database(method, params)?;
        let [_, id, requests, rest @ ..] = params else {
            return Err(invalid(params));
        };
        if rest.len() != usize::from(version == MonitorVersion::V3) {
            return Err(invalid(params));
        }
        if let Some(last) = rest.first() {
            check_transaction_id(last)?;
        }
        let (Some(database), Some(state)) = (self.databases.get(at), self.sessions.get(&session))
        else {
            return Ok(None);
        };
        if state.monitors.iter().any(|m| m.id == *id) {
            return Err(duplicate_monitor(id));
        }
        let monitor =
            Monitor::from_json(requests, version, database.db.schema()).map_err(|e| e.to_json())?;
        let initial = monitor.initial(&database.db);
        let monitor = self.share_monitor(session, monitor);
        if let Some(state) = self.sessions.get_mut(&session) {
            let monitor = SessionMonitor::new(id.clone(), at, monitor);
            state.monitors.push(monitor);
        }
        self.send_text(session, initial_reply(request, version, &initial));
        Ok(None)
    }

    fn monitor_cond_change(&mut self, session: SessionId, params: &[Value]) -> Answer {
        let [old, new, requests] = params else {
            return Err(invalid(params));
        };
        let Some(state) = self.sessions.get(&session) else {
            return Ok(None);
        };
        let Some(at) = state.monitors.iter().position(|m| m.id == *old) else {
            return Err(OpError::syntax("unknown monitor session")
                .with_syntax(old)
                .to_json());
        };
        if old != new && state.monitors.iter().any(|m| m.id == *new) {
            return Err(duplicate_monitor(new));
        }
        let Some(watched) = state.monitors.get(at) else {
            return Ok(None);
        };
        let Some(database) = self.databases.get(watched.database) else {
            return Ok(None);
        };
        let (number, mut monitor) = (watched.database, Monitor::clone(&watched.monitor));
        let updates = monitor.change_conditions(requests, &database.db);
        let updates = updates.map_err(|e| e.to_json())?;
        let monitor = self.share_monitor(session, monitor);
        let monitor = SessionMonitor::new(new.clone(), number, monitor);
        let update = updates.map(|updates| monitor.notification(&UpdateText::new(updates)));
        let state = self.sessions.get_mut(&session);
        if let Some(watched) = state.and_then(|state| state.monitors.get_mut(at)) {
            *watched = monitor;
        }
        if let Some(update) = update {
            self.send_text(session, update);
        }
        Ok(Some(json!({})))
    }

    fn monitor_cancel(&mut self, session: SessionId, params: &[Value]) -> Answer {
        let [id] = params else {
            return Err(json!("invalid parameters"));
        };
        let Some(state) = self.sessions.get_mut(&session) else {
            return Ok(None);
        };
        match state.monitors.iter().position(|m| m.id == *id) {
            Some(at) => {
                state.monitors.remove(at);
                Ok(Some(json!({})))
            }
            None => Err(json!("unknown monitor")),
        }
    }

    fn lock(&mut self, session: SessionId, method: &str, params: &[Value]) -> Answer {
        let id = match params {
            [Value::String(name)] => Some(name).filter(|name| is_id(name)),
            _ => None,
        };
        let Some(name) = id else {
            let words = format!("{method} request params must be <id>");
            return Err(refused(ErrorKind::Syntax, words, params));
        };
        let asked = self.locks.asked(name, session);
        match method {
            "unlock" if asked => {
                self.unlock(name, session);
                Ok(Some(json!({})))
            }
            "unlock" => {
                let words = "unlock: \"unlock\" without \"lock\" or \"steal\"";
                Err(refused(ErrorKind::Syntax, words, params))
            }
            _ if asked => {
                let words = format!("must issue \"unlock\" before new \"{method}\"");
                Err(refused(ErrorKind::Syntax, words, params))
            }
            "steal" => {
                if let Some(victim) = self.locks.steal(name, session) {
                    self.send(victim, &notification("stolen", vec![json!(name)]));
                }
                Ok(Some(json!({"locked": true})))
            }
            _ => Ok(Some(json!({"locked": self.locks.lock(name, session)}))),
        }
    }

    fn set_db_change_aware(&mut self, session: SessionId, params: &[Value]) -> Answer {
        let [Value::Bool(aware)] = params else {
            let words = "set_db_change_aware: true or false parameter expected";
            return Err(refused(ErrorKind::Syntax, words, params));
        };
        if let Some(state) = self.sessions.get_mut(&session) {
            state.change_aware = *aware;
        }
        Ok(Some(json!({})))
    }
}

/// The reply to a request for a monitor. Most of it may be megabytes of text already.
fn initial_reply(request: &Value, version: MonitorVersion, initial: &str) -> String {
    let mut reply = String::with_capacity(initial.len() + 200);
    reply.push_str("{\"id\":");
    write_value(request, &mut reply);
    reply.push_str(",\"result\":");
    if version == MonitorVersion::V3 {
        // No history is kept: the client starts anew whatever it has seen before.
        reply.push_str("[false,");
        write_uuid(Uuid::nil(), &mut reply);
        reply.push(',');
    }
    reply.push_str(initial);
    if version == MonitorVersion::V3 {
        reply.push(']');
    }
    reply.push_str(",\"error\":null}");
    reply
}

/// The error for parameters that a method can't take.
pub(super) fn refused(kind: ErrorKind, words: impl Into<String>, params: &[Value]) -> Value {
    let params = Value::Array(params.to_vec());
    OpError::new(kind, words).with_syntax(&params).to_json()
}

fn invalid(params: &[Value]) -> Value {
    refused(ErrorKind::Syntax, "invalid parameters", params)
}

fn duplicate_monitor(id: &Value) -> Value {
    let error = OpError::syntax("duplicate monitor ID");
    error.with_syntax(id).to_json()
}

/// Refuses what can't be the last transaction that a client has seen.
fn check_transaction_id(json: &Value) -> Result<(), Value> {
    let fault = |words| Err(OpError::syntax(words).with_syntax(json).to_json());
    match json.as_str() {
        None => fault("last-txn-id must be string"),
        Some(text) if text.len() != 36 || Uuid::try_parse(text).is_err() => {
            fault("last-txn-id must be UUID format.")
        }
        Some(_) => Ok(()),
    }
}
