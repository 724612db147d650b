//! A client within the process: the same session that a connection has, without a socket.
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::Notification;
use crate::engine::{Command, Outgoing, SessionId, outbox};
use crate::jsonrpc::Message;

/// A session of the database ([`crate::StoreHandle::connect`]). What it asks for ends with the
/// value: monitors, locks, transactions that wait.
#[derive(Debug)]
pub struct LocalSession {
    session: SessionId,
    engine: mpsc::WeakSender<Command>,
    outgoing: Outgoing,
    next_id: u64,
    /// Notifications that came before the reply that was waited for.
    early: std::collections::VecDeque<Notification>,
}

/// A request that got no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// The database has been closed.
    #[error("the database is closed")]
    Closed,
    /// So much is unread that the session was ended.
    #[error("the client is too slow: too much of what it asked for is unread")]
    Slow,
    /// The request was refused, with the error as the protocol has it (RFC 7047 §3.1).
    #[error("{0}")]
    Refused(Value),
}

impl LocalSession {
    pub(crate) async fn open(
        engine: &mpsc::Sender<Command>,
        session: SessionId,
    ) -> Result<Self, SessionError> {
        let (outbox, outgoing) = outbox();
        let connect = Command::Connect { session, outbox };
        engine
            .send(connect)
            .await
            .map_err(|_| SessionError::Closed)?;
        Ok(Self {
            session,
            engine: engine.downgrade(),
            outgoing,
            next_id: 0,
            early: std::collections::VecDeque::new(),
        })
    }

    /// Calls a method of RFC 7047 §4.1 and waits for the result.
    ///
    /// # Errors
    /// If it is refused, or the session has ended.
    pub async fn request(
        &mut self,
        method: &str,
        params: Vec<Value>,
    ) -> Result<Value, SessionError> {
        self.next_id += 1;
        let wanted = json!(self.next_id);
        let message = Message::Request {
            method: method.to_owned(),
            params,
            id: wanted.clone(),
        };
        let session = self.session;
        let engine = self.engine.upgrade().ok_or(SessionError::Closed)?;
        let sent = engine.send(Command::Message { session, message }).await;
        sent.map_err(|_| SessionError::Closed)?;
        drop(engine);
        loop {
            match self.receive().await? {
                Message::Reply { id, result, error } if id == wanted => {
                    let refused = !error.is_null();
                    return if refused {
                        Err(SessionError::Refused(error))
                    } else {
                        Ok(result)
                    };
                }
                Message::Notification { method, params } => {
                    self.early.push_back(Notification { method, params });
                }
                _ => {}
            }
        }
    }

    /// The next notification.
    ///
    /// # Errors
    /// If the session has ended.
    pub async fn notified(&mut self) -> Result<Notification, SessionError> {
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        loop {
            if let Message::Notification { method, params } = self.receive().await? {
                return Ok(Notification { method, params });
            }
        }
    }

    /// Waits until more than so many bytes are unread, or the session is ended because of that.
    pub async fn behind(&self, bytes: usize) {
        let mut backlog = self.outgoing.backlog.subscribe();
        if backlog.wait_for(|backlog| *backlog > bytes).await.is_err() {
            std::future::pending().await
        }
    }

    async fn receive(&mut self) -> Result<Message, SessionError> {
        let Some(text) = self.outgoing.texts.recv().await else {
            let cut = *self.outgoing.backlog.borrow() == usize::MAX;
            return Err(if cut {
                SessionError::Slow
            } else {
                SessionError::Closed
            });
        };
        self.outgoing.sent(text.len());
        let json =
            serde_json::from_str(&text.parts().concat()).map_err(|_| SessionError::Closed)?;
        Message::from_json(json).map_err(|_| SessionError::Closed)
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        let session = self.session;
        let disconnect = Command::Disconnect { session };
        if let Err(mpsc::error::TrySendError::Full(disconnect)) = engine.try_send(disconnect) {
            // Nobody can wait here, so somebody else does.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { engine.send(disconnect).await });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, op};

    fn insert(name: &str) -> Value {
        op::insert(
            "QoS",
            None,
            op::Columns::new().set("type", crate::Datum::scalar(name)),
        )
    }

    #[tokio::test]
    async fn a_local_client_is_served_like_any_other() {
        let store = Store::in_memory();
        let mut session = store.connect().await.unwrap();
        let request = json!({"QoS": {"columns": ["type"]}});
        let initial = session.request("monitor", vec![json!("Open_vSwitch"), json!(7), request]);
        assert_eq!(initial.await.unwrap(), json!({}));
        let params = vec![json!("Open_vSwitch"), insert("x")];
        let results = session.request("transact", params).await.unwrap();
        assert!(results[0]["uuid"].is_array());
        let update = session.notified().await.unwrap();
        assert_eq!(
            (update.method.as_str(), &update.params[0]),
            ("update", &json!(7))
        );
        store.transact(json!([insert("y")])).await.unwrap();
        let update = session.notified().await.unwrap();
        assert!(update.params[1]["QoS"].to_string().contains("\"y\""));

        let refused = session.request("monitor", vec![json!("nowhere")]).await;
        let SessionError::Refused(error) = refused.unwrap_err() else {
            panic!()
        };
        assert_eq!(error["error"], "unknown database");
        let usage = store.usage().await.unwrap();
        assert_eq!((usage.sessions, usage.monitors), (1, 1));
        drop(session);
        assert_eq!(store.usage().await.unwrap().sessions, 0);
        store.close().await.unwrap();
        assert_eq!(store.connect().await.unwrap_err(), SessionError::Closed);
    }

    #[tokio::test]
    async fn what_waits_ends_with_its_client() {
        let store = Store::in_memory();
        let mut session = store.connect().await.unwrap();
        let wait = json!({"op": "wait", "table": "QoS", "where": [], "columns": ["type"],
                          "until": "==", "rows": [{"type": "never"}]});
        let request = session.request("transact", vec![json!("Open_vSwitch"), wait]);
        tokio::select! {
            result = request => panic!("{result:?}"),
            () = async { while store.usage().await.unwrap().triggers == 0 {} } => {}
        }
        drop(session);
        assert_eq!(store.usage().await.unwrap().triggers, 0);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let store = Store::in_memory();
        let mut session = store.connect().await.unwrap();
        let request = json!({"QoS": {"columns": ["type"]}});
        let monitor = session.request("monitor", vec![json!("Open_vSwitch"), json!(7), request]);
        monitor.await.unwrap();
        let megabytes = insert(&"x".repeat(9 << 20));
        for _ in 0..8 {
            store.transact(json!([megabytes])).await.unwrap();
        }
        session.behind(64 << 20).await;
        let end = loop {
            if let Err(end) = session.notified().await {
                break end;
            }
        };
        assert_eq!(end, SessionError::Slow);
        assert_eq!(store.usage().await.unwrap().sessions, 0);
    }
}
