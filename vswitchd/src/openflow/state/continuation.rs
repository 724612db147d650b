//! What is needed to go on with a packet that waits for its controller. Pure.
//!
//! As bytes it is the number of values that were pushed, these, and then FLOW_MODs: one that writes the
//! action set, and one for the rest of each flow: a form that has a reader already. All parts are
//! multiples of 8 bytes, as properties are. The packet itself and its fields come back with the
//! controller's answer.

use std::sync::Arc;

use aorta_flow::Flow;
use aorta_flow::action::Instructions;
use aorta_flow::table::FlowMod;
use aorta_flow::translate::{Continuation, Rest};
use aorta_openflow::message::{FlowModMessage, Form};
use aorta_openflow::{Context, Envelope, Header, Message, Version, decode, encode};

/// Bytes of a value on the stack.
const VALUE_BYTES: usize = 16;
/// Cookie of what is no flow's.
const NO_COOKIE: u64 = u64::MAX;

/// As bytes; none if they can't be had.
pub fn write(left: &Continuation) -> Option<Vec<u8>> {
    let mut bytes = (left.stack.len() as u64).to_be_bytes().to_vec();
    for value in &left.stack {
        bytes.extend(value.to_be_bytes());
    }
    let set = Rest {
        instructions: Instructions {
            write_actions: left.action_set.clone(),
            ..Instructions::default()
        },
        ..Rest::default()
    };
    for rest in [&set].into_iter().chain(&left.rest) {
        bytes.extend(encode(&message(rest), Context::default()).ok()?);
    }
    Some(bytes)
}

fn message(rest: &Rest) -> Envelope {
    let message = Message::FlowMod(FlowModMessage {
        form: Form::Standard,
        change: FlowMod {
            table: Some(rest.table),
            flow: Flow {
                table: rest.table,
                cookie: rest.cookie.unwrap_or(NO_COOKIE),
                instructions: Arc::new(rest.instructions.clone()),
                ..Flow::default()
            },
            ..FlowMod::default()
        },
        buffer_id: None,
    });
    Envelope {
        version: Version::OpenFlow13,
        xid: 0,
        message,
    }
}

/// What is left; none if it isn't of this switch.
pub fn read(bytes: &[u8]) -> Option<Continuation> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u64::from_be_bytes(*count)).ok()?;
    let (values, mut messages) = rest.split_at_checked(count.checked_mul(VALUE_BYTES)?)?;
    let values = values.as_chunks::<VALUE_BYTES>().0.iter();
    let mut parts = Vec::new();
    while !messages.is_empty() {
        let length = Header::read(messages)?.length;
        let (message, behind) = messages.split_at_checked(length.into())?;
        parts.push(part(message)?);
        messages = behind;
    }
    let mut parts = parts.into_iter();
    Some(Continuation {
        stack: values.map(|value| u128::from_be_bytes(*value)).collect(),
        action_set: parts.next()?.instructions.write_actions,
        rest: parts.collect(),
    })
}

fn part(message: &[u8]) -> Option<Rest> {
    let Message::FlowMod(message) = decode(message, Context::default()).ok()?.message else {
        return None;
    };
    let FlowMod { table, flow, .. } = message.change;
    Some(Rest {
        table: table?,
        cookie: Some(flow.cookie).filter(|cookie| *cookie != NO_COOKIE),
        instructions: Arc::unwrap_or_clone(flow.instructions),
    })
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::{Form, NoNames, parse_flow};

    use super::*;

    fn flow(line: &str) -> Flow {
        parse_flow(line, Form::Flow, &NoNames).unwrap().into_flow()
    }

    #[test]
    fn all_of_it_comes_back_as_it_was_and_nothing_else_is_taken() {
        let inner = flow("table=4,actions=pop:NXM_NX_REG1[],write_actions(output:3),goto_table:8");
        let outer = flow("actions=output:7,learn(table=1,NXM_OF_VLAN_TCI[0..11])");
        let rest = |flow: &Flow, cookie| Rest {
            table: flow.table,
            cookie,
            instructions: (*flow.instructions).clone(),
        };
        let left = Continuation {
            stack: vec![1, u128::MAX],
            action_set: flow("actions=set_field:2->reg4,output:9")
                .instructions
                .apply
                .clone(),
            rest: vec![rest(&inner, Some(0)), rest(&outer, None)],
        };
        let bytes = write(&left).unwrap();
        assert_eq!(read(&bytes), Some(left));
        for cut in 0..bytes.len() - 1 {
            let whole = read(&bytes[..cut]).is_none_or(|less| less.rest.len() < 2);
            assert!(whole, "cut at {cut}");
        }
        assert_eq!(read(b"something else"), None);
    }
}
