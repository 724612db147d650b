//! A connection to the running switch.

use std::cell::OnceCell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aorta_api::{BridgeStatus, METHOD_STATUS, SOCKET_NAME, Status};
use jsonrpsee_core::JsonRawValue;
use jsonrpsee_core::client::ClientT;
use jsonrpsee_core::rpc_params;
use jsonrpsee_core::traits::ToRpcParams;
use jsonrpsee_ws_client::{WsClient, WsClientBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::error::ManageError;
use crate::flows::ports::PortNames;

/// Most bytes of a request; the switch has a limit of its own.
const MAX_REQUEST_BYTES: u32 = 1 << 30;

/// A connection that answers one call after the other, until a point in time.
pub(super) struct Client {
    runtime: Runtime,
    client: WsClient,
    path: PathBuf,
    deadline: Instant,
}

/// Parameters by name.
pub(super) struct Named<P>(pub(super) P);

impl<P: Serialize> ToRpcParams for Named<P> {
    fn to_rpc_params(self) -> Result<Option<Box<JsonRawValue>>, serde_json::Error> {
        JsonRawValue::from_string(serde_json::to_string(&self.0)?).map(Some)
    }
}

impl Client {
    /// Connects to the switch of a rundir, for so long at most.
    pub(super) fn new(rundir: &Path, limit: Duration) -> Result<Client, ManageError> {
        let deadline = Instant::now() + limit;
        let path = rundir.join(SOCKET_NAME);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ManageError::Runtime)?;
        let connecting = async {
            let stream = tokio::net::UnixStream::connect(&path).await;
            let stream = stream.map_err(|cause| ManageError::Connect {
                path: path.clone(),
                cause,
            })?;
            let builder = WsClientBuilder::default()
                .request_timeout(limit)
                .max_request_size(MAX_REQUEST_BYTES)
                .max_response_size(u32::MAX);
            let client = builder.build_with_stream("ws://localhost/", stream).await;
            client.map_err(|cause| ManageError::Call {
                path: path.clone(),
                cause,
            })
        };
        let client = within(&runtime, deadline, connecting)?;
        Ok(Client {
            runtime,
            client,
            path,
            deadline,
        })
    }

    /// Calls a method about a bridge.
    pub(super) fn call<P, R>(&self, method: &str, bridge: &str, params: P) -> Result<R, ManageError>
    where
        P: ToRpcParams + Send,
        R: DeserializeOwned,
    {
        within(&self.runtime, self.deadline, async {
            let answer = self.client.request(method, params).await;
            answer.map_err(|cause| ManageError::of_call(&self.path, method, bridge, cause))
        })
    }

    /// Time that is left.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn within<T>(
    runtime: &Runtime,
    deadline: Instant,
    work: impl Future<Output = Result<T, ManageError>>,
) -> Result<T, ManageError> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let done = runtime.block_on(async { tokio::time::timeout(limit, work).await });
    done.map_err(|_| ManageError::TimedOut)?
}

/// A bridge of the running switch.
pub(super) struct Bridge<'c> {
    client: &'c Client,
    pub(super) name: &'c str,
    names: OnceCell<PortNames>,
}

impl<'c> Bridge<'c> {
    pub(super) fn new(client: &'c Client, name: &'c str) -> Bridge<'c> {
        Bridge {
            client,
            name,
            names: OnceCell::new(),
        }
    }

    /// Calls a method with parameters by name.
    pub(super) fn call<P, R>(&self, method: &str, params: P) -> Result<R, ManageError>
    where
        P: Serialize + Send,
        R: DeserializeOwned,
    {
        self.client.call(method, self.name, Named(params))
    }

    /// Waits, unless that is longer than everything may take.
    pub(super) fn pause(&self, time: Duration) -> Result<(), ManageError> {
        if time >= self.client.left() {
            return Err(ManageError::TimedOut);
        }
        std::thread::sleep(time);
        Ok(())
    }

    /// What the switch says of it.
    pub(super) fn status(&self) -> Result<BridgeStatus, ManageError> {
        let status: Status = self.client.call(METHOD_STATUS, self.name, rpc_params![])?;
        let mut bridges = status.bridges.into_iter();
        bridges
            .find(|bridge| bridge.name == self.name)
            .ok_or_else(|| ManageError::NoBridge {
                name: self.name.to_owned(),
            })
    }

    /// Its ports' names, asked for when they are needed.
    pub(super) fn names(&self) -> Result<&PortNames, ManageError> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let names = PortNames::of(&self.status()?);
        Ok(self.names.get_or_init(|| names))
    }
}
