//! A client of an OVSDB server.
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aorta_stream::{Remote, RemoteError, Tls, TlsError};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::jsonrpc::{Framer, Message, StreamError};
use crate::schema::{DatabaseSchema, SchemaError};
use crate::store::{StoreError, check_results};

/// A request that got no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address makes no sense.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The address is one to listen on.
    #[error("{0} is not for connecting")]
    NotActive(Remote),
    /// The server can't be reached.
    #[error("{remote}: can't connect")]
    Connect {
        /// Where.
        remote: Remote,
        /// Why it failed.
        source: io::Error,
    },
    /// The server can't be reached by TLS.
    #[error("{remote}: can't connect")]
    Tls {
        /// Where.
        remote: Remote,
        /// Why it failed.
        source: Arc<TlsError>,
    },
    /// The connection broke.
    #[error("the connection to the server broke")]
    Io(#[source] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server sent something that makes no sense.
    #[error("the server sent {0}")]
    Malformed(#[from] StreamError),
    /// The server refused the request as a whole.
    #[error("{method}: the server says {error}")]
    Request {
        /// The request.
        method: String,
        /// The server's words.
        error: Value,
    },
    /// The transaction was refused.
    #[error(transparent)]
    Transaction(#[from] StoreError),
    /// The result has another form than the protocol says.
    #[error("{method}: the server sent an unexpected result")]
    Unexpected {
        /// The request.
        method: String,
    },
    /// The server's schema can't be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A notification from the server: `update`, `update2`, `update3`, `locked`, `stolen`.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Its method.
    pub method: String,
    /// Its parameters.
    pub params: Vec<Value>,
}

type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>>>;

/// A connection to a server. Requests may overlap; dropping the client closes it.
#[derive(Debug)]
pub struct Client {
    outgoing: mpsc::UnboundedSender<String>,
    waiting: Waiting,
    notifications: Mutex<mpsc::UnboundedReceiver<Notification>>,
    next_id: AtomicU64,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Connects to `unix:PATH` or `tcp:HOST:PORT`.
    ///
    /// # Errors
    /// If the address makes no sense or nobody answers there.
    pub async fn connect(remote: &str) -> Result<Self, ClientError> {
        Self::connect_with(remote, &Tls::default()).await
    }

    /// Connects to `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`.
    ///
    /// # Errors
    /// If the address makes no sense or nobody answers there, or one side doesn't trust the other.
    pub async fn connect_with(remote: &str, tls: &Tls) -> Result<Self, ClientError> {
        let remote: Remote = remote.parse()?;
        let failed = |source| ClientError::Connect {
            remote: remote.clone(),
            source,
        };
        match &remote {
            Remote::Unix(path) => Ok(Self::start(
                UnixStream::connect(path).await.map_err(failed)?,
            )),
            Remote::Tcp(endpoint) => Ok(Self::start(endpoint.dial().await.map_err(failed)?)),
            Remote::Tls(endpoint) => {
                let stream = tls.connect(endpoint.dial().await.map_err(failed)?).await;
                let stream = stream.map_err(|source| ClientError::Tls {
                    remote: remote.clone(),
                    source,
                })?;
                Ok(Self::start(stream))
            }
            _ => Err(ClientError::NotActive(remote)),
        }
    }

    fn start<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Self {
        let (outgoing, texts) = mpsc::unbounded_channel();
        let (notify, notifications) = mpsc::unbounded_channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let pump = Pump {
            waiting: Arc::clone(&waiting),
            notify,
            outgoing: outgoing.downgrade(),
        };
        let task = tokio::spawn(pump.run(stream, texts));
        Self {
            outgoing,
            waiting,
            notifications: Mutex::new(notifications),
            next_id: AtomicU64::new(1),
            task,
        }
    }

    /// Calls a method.
    ///
    /// # Errors
    /// If the server refuses, or the connection breaks.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match &mut *self.waiting.lock().await {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(ClientError::Closed),
        };
        let params = match params {
            Value::Array(params) => params,
            other => vec![other],
        };
        let request = Message::Request {
            method: method.to_owned(),
            params,
            id: json!(id),
        };
        self.outgoing
            .send(request.to_text())
            .map_err(|_| ClientError::Closed)?;
        let reply = receiver.await.map_err(|_| ClientError::Closed)?;
        reply.map_err(|error| ClientError::Request {
            method: method.to_owned(),
            error,
        })
    }

    /// The schema of a database.
    ///
    /// # Errors
    /// If there is none, or the connection breaks.
    pub async fn get_schema(&self, database: &str) -> Result<DatabaseSchema, ClientError> {
        let json = self.request("get_schema", json!([database])).await?;
        Ok(DatabaseSchema::from_json(json)?)
    }

    /// Runs an array of operations as one transaction and returns a result for each.
    ///
    /// # Errors
    /// If one was refused, or the whole, or the connection breaks.
    pub async fn transact(
        &self,
        database: &str,
        operations: Value,
    ) -> Result<Vec<Value>, ClientError> {
        let Value::Array(mut params) = operations else {
            return Err(StoreError::NotOperations.into());
        };
        params.insert(0, json!(database));
        match self.request("transact", Value::Array(params)).await? {
            Value::Array(results) => Ok(check_results(results)?),
            _ => Err(ClientError::Unexpected {
                method: "transact".to_owned(),
            }),
        }
    }

    /// Asks for the contents of tables, and for notifications ([`Client::notified`]) of changes as
    /// `update` messages under `id`. `requests` is `{table: {"columns": […]}}`; the result
    /// `{table: {uuid: {"new": row}}}` (RFC 7047 §4.1.5).
    ///
    /// # Errors
    /// If the server refuses, or the connection breaks.
    pub async fn monitor(
        &self,
        database: &str,
        id: &str,
        requests: Value,
    ) -> Result<Value, ClientError> {
        self.request("monitor", json!([database, id, requests]))
            .await
    }

    /// The next notification; `None` once the connection is closed.
    pub async fn notified(&self) -> Option<Notification> {
        self.notifications.lock().await.recv().await
    }
}

/// The connection's task.
struct Pump {
    waiting: Waiting,
    notify: mpsc::UnboundedSender<Notification>,
    outgoing: mpsc::WeakUnboundedSender<String>,
}

impl Pump {
    async fn run<S: AsyncRead + AsyncWrite>(
        self,
        stream: S,
        mut texts: mpsc::UnboundedReceiver<String>,
    ) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let write = async {
            while let Some(text) = texts.recv().await {
                writer
                    .write_all(text.as_bytes())
                    .await
                    .map_err(ClientError::Io)?;
                writer.flush().await.map_err(ClientError::Io)?;
            }
            Ok(())
        };
        let ended: Result<(), ClientError> = tokio::select! {
            ended = self.read(&mut reader) => ended,
            ended = write => ended,
        };
        if let Err(error) = ended {
            tracing::debug!("OVSDB connection: {}", aorta_stream::describe(&error));
        }
        // Whoever waits learns that no reply will come.
        self.waiting.lock().await.take();
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin)) -> Result<(), ClientError> {
        let (mut framer, mut buffer) = (Framer::default(), vec![0; 64 << 10]);
        loop {
            let count = reader.read(&mut buffer).await.map_err(ClientError::Io)?;
            if count == 0 {
                return Ok(());
            }
            framer.push(buffer.get(..count).unwrap_or_default());
            while let Some(message) = framer.next_message()? {
                self.message(message).await;
            }
        }
    }

    async fn message(&self, message: Message) {
        match message {
            Message::Request { method, params, id } => {
                let (result, error) = match method.as_str() {
                    "echo" => (Value::Array(params), Value::Null),
                    _ => (Value::Null, json!("unknown method")),
                };
                if let Some(outgoing) = self.outgoing.upgrade() {
                    // If it can't be sent, the connection is about to end anyway.
                    let _ = outgoing.send(Message::Reply { id, result, error }.to_text());
                }
            }
            Message::Notification { method, params } => {
                // The receiver lives as long as the client, which ends this task.
                let _ = self.notify.send(Notification { method, params });
            }
            Message::Reply { id, result, error } => {
                let mut waiting = self.waiting.lock().await;
                let waiter = id.as_u64().and_then(|id| waiting.as_mut()?.remove(&id));
                if let Some(waiter) = waiter {
                    // Whoever asked may have given up.
                    let _ = waiter.send(if error.is_null() {
                        Ok(result)
                    } else {
                        Err(error)
                    });
                }
            }
        }
    }
}
