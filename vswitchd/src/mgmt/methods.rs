//! The methods of the API.

use std::sync::Arc;
use std::time::Instant;

use aorta_api::{
    ERROR_NO_BRIDGE, FdbParams, METHOD_DISCOVER, METHOD_FDB, METHOD_STATUS, OPENRPC, Status,
};
use aorta_ovsdb::StoreHandle;
use jsonrpsee::RpcModule;
use jsonrpsee::server::RegisterMethodError;
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{database, flows};
use crate::control::{Control, FdbError, Gone, Request};
use crate::coverage;

/// The methods with what they need.
pub type Module = RpcModule<Context>;

/// What methods need.
pub struct Context {
    pub(super) control: Control,
    pub(super) store: StoreHandle,
    pub(super) transactions: Arc<Semaphore>,
    started: Instant,
    datapath: &'static str,
    description: Value,
}

/// The methods can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// A name is there twice.
    #[error(transparent)]
    Register(#[from] RegisterMethodError),
    /// The API's description is no JSON.
    #[error("docs/openrpc.json is not JSON")]
    Description(#[from] serde_json::Error),
}

pub(super) fn internal(error: &dyn std::error::Error) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, error.to_string(), None::<()>)
}

impl From<Gone> for ErrorObjectOwned {
    fn from(error: Gone) -> Self {
        internal(&error)
    }
}

impl From<FdbError> for ErrorObjectOwned {
    fn from(error: FdbError) -> Self {
        match error {
            FdbError::NoBridge(_) => {
                ErrorObjectOwned::owned(ERROR_NO_BRIDGE, error.to_string(), None::<()>)
            }
            FdbError::Datapath(_) => internal(&error),
        }
    }
}

/// Reads parameters, by name or by position.
pub(super) fn parse<T: DeserializeOwned>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    coverage::API_CALL.hit();
    serde_json::from_str(params.as_str().unwrap_or("{}")).map_err(|error| {
        let words = format!("Invalid params: {error}");
        ErrorObjectOwned::owned(INVALID_PARAMS_CODE, words, None::<()>)
    })
}

/// No parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Puts all methods together; `datapath` is what switches the frames.
///
/// # Errors
/// If they don't fit.
pub fn module(
    control: Control,
    store: StoreHandle,
    started: Instant,
    datapath: &'static str,
) -> Result<Module, ModuleError> {
    let mut module = RpcModule::new(Context {
        control,
        store,
        transactions: Arc::new(Semaphore::new(database::MAX_TRANSACTIONS)),
        started,
        datapath,
        description: serde_json::from_str(OPENRPC)?,
    });
    module.register_method(METHOD_DISCOVER, |params, context, _| {
        parse::<Nothing>(&params)?;
        Ok::<_, ErrorObjectOwned>(context.description.clone())
    })?;
    module.register_async_method(METHOD_STATUS, |params, context, _| async move {
        parse::<Nothing>(&params)?;
        let (bridges, problems) = context.control.ask(Request::Status).await?;
        Ok::<_, ErrorObjectOwned>(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: context.started.elapsed().as_secs(),
            datapath: context.datapath.to_owned(),
            problems,
            bridges,
        })
    })?;
    module.register_async_method(METHOD_FDB, |params, context, _| async move {
        let FdbParams { bridge } = parse(&params)?;
        let answer = context.control.ask(|to| Request::Fdb(bridge, to)).await?;
        Ok::<_, ErrorObjectOwned>(answer?)
    })?;
    database::register(&mut module)?;
    flows::register(&mut module)?;
    Ok(module)
}
