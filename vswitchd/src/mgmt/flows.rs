//! The methods about flow tables. Texts are read and written here, not on the switch's task.

use std::sync::Arc;

use aorta_api::{
    DatapathFault, DumpParams, ERROR_FLOW_DATAPATH, ERROR_FLOW_TABLE, ERROR_FLOW_TEXT,
    ERROR_NO_BRIDGE, EntryModAnswer, EntryModParams, FlowDump, FlowDumpParams, FlowExplain,
    FlowExplainParams, FlowModAnswer, FlowModParams, FlowReplaceAnswer, FlowReplaceParams,
    FlowTrace, FlowTraceParams, GroupDump, METHOD_FLOW_DUMP, METHOD_FLOW_EXPLAIN, METHOD_FLOW_MOD,
    METHOD_FLOW_REPLACE, METHOD_FLOW_TRACE, METHOD_GROUP_DUMP, METHOD_GROUP_MOD, METHOD_METER_DUMP,
    METHOD_METER_MOD, MeterDump, TableFault, TextFault,
};
use aorta_flow::Group;
use aorta_flow::table::Modification;
use aorta_flow::text::{Names, NoNames, TextError};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use tokio::task::spawn_blocking;

use super::methods::{Context, Module, ModuleError, internal, parse};
use crate::control::{Atomic, FlowAnswer, FlowRequest, Request};
use crate::ofproto::{self, FlowError, PortNames};

type Answer<T> = Result<T, ErrorObjectOwned>;

impl From<FlowError> for ErrorObjectOwned {
    fn from(error: FlowError) -> Self {
        let words = error.to_string();
        match error {
            FlowError::NoBridge(_) => ErrorObjectOwned::owned(ERROR_NO_BRIDGE, words, None::<()>),
            FlowError::Text { index, text, error } => {
                let fault = text_fault(index, &text, &error);
                ErrorObjectOwned::owned(ERROR_FLOW_TEXT, words, Some(fault))
            }
            FlowError::Form { index, .. } => {
                let fault = TextFault {
                    index: index as u64,
                    position: 0,
                    caret: String::new(),
                };
                ErrorObjectOwned::owned(ERROR_FLOW_TEXT, words, Some(fault))
            }
            FlowError::Table {
                index,
                error,
                changed,
            } => {
                let fault = TableFault {
                    index: index as u64,
                    openflow: error.openflow().name.to_owned(),
                    changed,
                };
                ErrorObjectOwned::owned(ERROR_FLOW_TABLE, words, Some(fault))
            }
            FlowError::Datapath(reason) => {
                let fault = DatapathFault { reason };
                ErrorObjectOwned::owned(ERROR_FLOW_DATAPATH, words, Some(fault))
            }
        }
    }
}

fn text_fault(index: usize, text: &str, error: &TextError) -> TextFault {
    let shown = error.render(text);
    let caret = shown.split_once('\n').map_or("", |(_, caret)| caret);
    TextFault {
        index: index as u64,
        position: error.offset as u64,
        caret: caret.to_owned(),
    }
}

/// Adds the methods.
///
/// # Errors
/// If one is there already.
pub(super) fn register(module: &mut Module) -> Result<(), ModuleError> {
    module.register_async_method(METHOD_FLOW_MOD, |params, context, _| async move {
        modify(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_FLOW_REPLACE, |params, context, _| async move {
        replace(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_FLOW_DUMP, |params, context, _| async move {
        dump(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_GROUP_MOD, |params, context, _| async move {
        let EntryModParams {
            bridge,
            command,
            entries,
        } = parse(&params)?;
        modify_entries(&context, bridge, move |names| {
            ofproto::group_mods(command, &entries, names)
        })
        .await
    })?;
    module.register_async_method(METHOD_METER_MOD, |params, context, _| async move {
        let EntryModParams {
            bridge,
            command,
            entries,
        } = parse(&params)?;
        modify_entries(&context, bridge, move |_| {
            ofproto::meter_mods(command, &entries)
        })
        .await
    })?;
    module.register_async_method(METHOD_GROUP_DUMP, |params, context, _| async move {
        dump_groups(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_METER_DUMP, |params, context, _| async move {
        dump_meters(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_FLOW_TRACE, |params, context, _| async move {
        trace(&context, parse(&params)?).await
    })?;
    module.register_async_method(METHOD_FLOW_EXPLAIN, |params, context, _| async move {
        let FlowExplainParams { bridge } = parse(&params)?;
        let explained: FlowExplain = ask(&context, bridge, FlowRequest::Explain).await?;
        Ok::<_, ErrorObjectOwned>(explained)
    })?;
    Ok(())
}

async fn ask<T>(
    context: &Context,
    bridge: String,
    question: impl FnOnce(FlowAnswer<T>) -> FlowRequest,
) -> Answer<T> {
    let answer = context
        .control
        .ask(|to| Request::Flows(bridge, question(to)))
        .await?;
    Ok(answer?)
}

async fn names(context: &Context, bridge: &str) -> Answer<Arc<PortNames>> {
    ask(context, bridge.to_owned(), FlowRequest::Names).await
}

/// Long work on texts, beside everything else.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    spawn_blocking(work).await.map_err(|error| internal(&error))
}

async fn modify(context: &Context, params: FlowModParams) -> Answer<FlowModAnswer> {
    let names = names(context, &params.bridge).await?;
    let FlowModParams {
        bridge,
        command,
        flows,
        atomic,
    } = params;
    let changes = beside(move || ofproto::flow_mods(command, &flows, &names)).await??;
    let atomic = if atomic { Atomic::Yes } else { Atomic::No };
    ask(context, bridge, |to| {
        FlowRequest::ModifyFlows(changes, atomic, to)
    })
    .await
}

async fn replace(context: &Context, params: FlowReplaceParams) -> Answer<FlowReplaceAnswer> {
    let names = names(context, &params.bridge).await?;
    let FlowReplaceParams { bridge, flows } = params;
    let flows = beside(move || ofproto::flows(&flows, &names)).await??;
    ask(context, bridge, |to| FlowRequest::Replace(flows, to)).await
}

async fn modify_entries(
    context: &Context,
    bridge: String,
    read: impl FnOnce(&PortNames) -> Result<Vec<Modification>, FlowError> + Send + 'static,
) -> Answer<EntryModAnswer> {
    let names = names(context, &bridge).await?;
    let changes = beside(move || read(&names)).await??;
    ask(context, bridge, |to| {
        FlowRequest::ModifyEntries(changes, to)
    })
    .await
}

/// The names to write with.
fn shown(names: &PortNames, wanted: bool) -> &dyn Names {
    if wanted { names } else { &NoNames }
}

async fn dump(context: &Context, params: FlowDumpParams) -> Answer<FlowDump> {
    let names = names(context, &params.bridge).await?;
    let filter = Box::new(ofproto::filter(&params.filter, &names)?);
    let dumped = ask(context, params.bridge, |to| match params.placement {
        true => FlowRequest::PlacedFlows(filter, to),
        false => FlowRequest::Flows(filter, to),
    })
    .await?;
    beside(move || {
        let names = shown(&names, params.names);
        let flows = dumped.iter().map(|flow| ofproto::flow_entry(flow, names));
        FlowDump {
            flows: flows.collect(),
        }
    })
    .await
}

async fn dump_groups(context: &Context, params: DumpParams) -> Answer<GroupDump> {
    let names = names(context, &params.bridge).await?;
    let group = ofproto::number(0, &params.filter, "group_id", Group::MAX_ID)?;
    let dumped = ask(context, params.bridge, |to| FlowRequest::Groups(group, to)).await?;
    let names = shown(&names, params.names);
    let groups = dumped
        .iter()
        .map(|group| ofproto::group_entry(group, names));
    Ok(GroupDump {
        groups: groups.collect(),
    })
}

async fn dump_meters(context: &Context, params: DumpParams) -> Answer<MeterDump> {
    let meter = ofproto::meter_id(0, &params.filter)?;
    let dumped = ask(context, params.bridge, |to| FlowRequest::Meters(meter, to)).await?;
    Ok(MeterDump {
        meters: dumped.iter().map(ofproto::meter_entry).collect(),
    })
}

async fn trace(context: &Context, params: FlowTraceParams) -> Answer<FlowTrace> {
    if params.flow.is_some() == params.frame.is_some() {
        let words = "Invalid params: give either flow (its fields) or frame (its bytes)";
        return Err(ErrorObjectOwned::owned(
            INVALID_PARAMS_CODE,
            words,
            None::<()>,
        ));
    }
    let bridge = params.bridge.clone();
    let job = ask(context, bridge, |to| FlowRequest::Trace(params, to)).await?;
    Ok(beside(move || job.run()).await??)
}
