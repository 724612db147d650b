//! What is needed to go on with a packet that waits for its controller. Pure.
//!
//! It is a FLOW_MOD whose flow has the actions that are left: a form that has a reader already. The
//! packet itself and its fields come back with the controller's answer.

use std::sync::Arc;

use aorta_flow::Flow;
use aorta_flow::action::{Action, Controller, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::table::FlowMod;
use aorta_openflow::message::{FlowModMessage, Form};
use aorta_openflow::{Context, Envelope, Message, Version, decode, encode};

/// What the flow of an action has still to do behind it: what stands behind it in its list, the
/// action set, and the next table.
pub fn remaining(instructions: &Instructions, paused_by: &Controller) -> Vec<Action> {
    let pauses = |action: &Action| matches!(action, Action::Controller(how) if **how == *paused_by);
    let apply = &instructions.apply;
    let behind = apply
        .iter()
        .position(pauses)
        .map_or(apply.len(), |at| at + 1);
    let mut left = apply[behind..].to_vec();
    if let Some((value, mask)) = instructions.write_metadata {
        left.push(Action::SetField {
            field: FieldId::METADATA,
            value: u128::from(value & mask),
            mask: mask.into(),
        });
    }
    left.extend(instructions.goto_table.map(|table| Action::Resubmit {
        in_port: None,
        table: Some(table),
        ct: false,
    }));
    left.extend(instructions.write_actions.iter().cloned());
    left
}

/// As bytes; none if they can't be had.
pub fn write(actions: Vec<Action>) -> Option<Vec<u8>> {
    let message = Message::FlowMod(FlowModMessage {
        form: Form::Standard,
        change: FlowMod {
            table: Some(0),
            flow: Flow {
                instructions: Arc::new(Instructions::apply(actions)),
                ..Flow::default()
            },
            ..FlowMod::default()
        },
        buffer_id: None,
    });
    let envelope = Envelope {
        version: Version::OpenFlow13,
        xid: 0,
        message,
    };
    encode(&envelope, Context::default()).ok()
}

/// The actions; none if it isn't of this switch.
pub fn read(bytes: &[u8]) -> Option<Vec<Action>> {
    match decode(bytes, Context::default()).ok()?.message {
        Message::FlowMod(message) => Some(message.change.flow.instructions.apply.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::{Form, NoNames, parse_flow};

    use super::*;

    #[test]
    fn what_stands_behind_the_pause_is_left() {
        let line = "actions=load:1->reg0[],controller(userdata=01,pause),output:2,group:3,\
                    goto_table:9";
        let flow = parse_flow(line, Form::Flow, &NoNames).unwrap().into_flow();
        let pause = flow.instructions.apply.iter().find_map(|a| match a {
            Action::Controller(how) => Some((**how).clone()),
            _ => None,
        });
        let left = remaining(&flow.instructions, &pause.unwrap());
        let texts: Vec<String> = left.iter().map(Action::to_string).collect();
        assert_eq!(texts, ["output:2", "group:3", "resubmit(,9)"]);
        assert_eq!(read(&write(left.clone()).unwrap()), Some(left));
        assert_eq!(read(b"something else"), None);
    }
}
