use super::*;
use crate::Flow;

fn flow(text: &str) -> Flow {
    match parse_flow(text, Form::Flow, &NoNames) {
        Ok(flow) => flow.into_flow(),
        Err(e) => panic!("{}", e.render(text)),
    }
}
