//! The methods that read, change and follow the database.

use std::sync::Arc;
use std::time::Duration;

use aorta_api::{
    DatabaseParams, ERROR_BUSY, ERROR_DATABASE, METHOD_DB_LIST, METHOD_DB_MONITOR,
    METHOD_DB_SCHEMA, METHOD_DB_TRANSACT, METHOD_DB_UNMONITOR, MonitorParams, MonitorUpdate,
    NOTIFICATION_DB_UPDATE, TransactParams,
};
use aorta_ovsdb::{LocalSession, Notification, SessionError};
use jsonrpsee::core::{SubscriptionError, to_json_raw_value};
use jsonrpsee::server::{PendingSubscriptionSink, SubscriptionSink};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::methods::{Context, Module, ModuleError, Nothing, internal, parse};

/// Transactions under way at a time, those that wait for something to become true among them.
pub const MAX_TRANSACTIONS: usize = 128;
/// A transaction that waits longer for something to become true has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// A subscriber that leaves more unread, in bytes, is given up.
const TOO_FAR_BEHIND: usize = 8 << 20;

/// An `<error>` of the database as an error of the call.
fn refused(error: &Value) -> ErrorObjectOwned {
    let text = |member| error.get(member).and_then(Value::as_str);
    let name = text("error").or(error.as_str()).unwrap_or("refused");
    let words = match text("details") {
        Some(details) => format!("{name}: {details}"),
        None => name.to_owned(),
    };
    ErrorObjectOwned::owned(ERROR_DATABASE, words, Some(error))
}

fn failed(error: SessionError) -> ErrorObjectOwned {
    match error {
        SessionError::Refused(error) => refused(&error),
        error => internal(&error),
    }
}

/// Calls a method of the database's own protocol, on a session for this call alone.
async fn call(
    context: &Context,
    method: &str,
    params: Vec<Value>,
) -> Result<Value, ErrorObjectOwned> {
    let mut session = context.store.connect().await.map_err(failed)?;
    session.request(method, params).await.map_err(failed)
}

/// Adds the methods.
///
/// # Errors
/// If one is there already.
pub(super) fn register(module: &mut Module) -> Result<(), ModuleError> {
    module.register_async_method(METHOD_DB_LIST, |params, context, _| async move {
        parse::<Nothing>(&params)?;
        call(&context, "list_dbs", Vec::new()).await
    })?;
    module.register_async_method(METHOD_DB_SCHEMA, |params, context, _| async move {
        let DatabaseParams { database } = parse(&params)?;
        call(&context, "get_schema", vec![database.into()]).await
    })?;
    module.register_async_method(METHOD_DB_TRANSACT, |params, context, _| async move {
        transact(&context, parse(&params)?).await
    })?;
    module.register_subscription(
        METHOD_DB_MONITOR,
        NOTIFICATION_DB_UPDATE,
        METHOD_DB_UNMONITOR,
        |params, pending, context, _| async move { monitor(&params, pending, &context).await },
    )?;
    Ok(())
}

async fn transact(context: &Context, params: TransactParams) -> Result<Value, ErrorObjectOwned> {
    let Ok(_place) = Arc::clone(&context.transactions).try_acquire_owned() else {
        let words = format!("{MAX_TRANSACTIONS} transactions are under way already");
        return Err(ErrorObjectOwned::owned(ERROR_BUSY, words, None::<()>));
    };
    let count = params.operations.len();
    let mut all = vec![Value::from(params.database)];
    all.extend(params.operations);
    // What still waits then ends with its session.
    let Ok(results) = timeout(PATIENCE, call(context, "transact", all)).await else {
        let words = format!("\"wait\" did not come true within {} s", PATIENCE.as_secs());
        return Err(refused(
            &json!({"error": "timed out", "details": words, "operation": null}),
        ));
    };
    let results = results?;
    let failed = results.as_array().into_iter().flatten().enumerate();
    match failed
        .into_iter()
        .find(|(_, result)| result.get("error").is_some())
    {
        Some((at, error)) => {
            let mut error = error.clone();
            // One more result than operations: the transaction as a whole.
            error["operation"] = if at < count { json!(at) } else { Value::Null };
            Err(refused(&error))
        }
        None => Ok(results),
    }
}

/// The one monitor of a subscription's session.
const MONITOR: u64 = 0;

async fn monitor(
    params: &Params<'static>,
    pending: PendingSubscriptionSink,
    context: &Context,
) -> Result<(), SubscriptionError> {
    let (session, initial) = match start(params, context).await {
        Ok(started) => started,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    // Who is gone needs no reason.
    let Ok(sink) = pending.accept().await else {
        return Ok(());
    };
    tokio::select! {
        () = sink.closed() => Ok(()),
        ended = follow(&sink, session, initial) => ended,
    }
}

async fn start(
    params: &Params<'static>,
    context: &Context,
) -> Result<(LocalSession, Value), ErrorObjectOwned> {
    let MonitorParams { tables, database } = parse(params)?;
    let mut session = context.store.connect().await.map_err(failed)?;
    let request = vec![database.into(), MONITOR.into(), Value::Object(tables)];
    let initial = session.request("monitor", request).await.map_err(failed)?;
    Ok((session, initial))
}

/// Sends the contents and then the changes, until the subscriber falls too far behind.
async fn follow(
    sink: &SubscriptionSink,
    mut session: LocalSession,
    initial: Value,
) -> Result<(), SubscriptionError> {
    send(sink, &session, true, initial).await?;
    loop {
        let Notification { method, params } = session.notified().await?;
        if let ("update", [_, tables]) = (&*method, &*params) {
            send(sink, &session, false, tables.clone()).await?;
        }
    }
}

async fn send(
    sink: &SubscriptionSink,
    session: &LocalSession,
    initial: bool,
    tables: Value,
) -> Result<(), SubscriptionError> {
    let tables = match tables {
        Value::Object(tables) => tables,
        _ => Map::new(),
    };
    let update = to_json_raw_value(&MonitorUpdate { initial, tables })?;
    tokio::select! {
        sent = sink.send(update) => Ok(sent?),
        () = session.behind(TOO_FAR_BEHIND) => Err(SubscriptionError::from(format!(
            "the subscriber is too slow: more than {} MiB are unread",
            TOO_FAR_BEHIND >> 20
        ))),
    }
}
