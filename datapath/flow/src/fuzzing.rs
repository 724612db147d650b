//! Entry points for fuzzers: each takes any bytes and panics only on a defect.

use crate::Group;
use crate::text::{Form, NoNames, parse_flow, parse_group, parse_meter, show_group};

/// A weight that is what it would be without being named isn't printed.
fn weighed(mut group: Group) -> Group {
    for bucket in &mut group.buckets {
        bucket.weight = Some(bucket.weight());
    }
    group
}

/// Reads the bytes as the text of a flow, a group and a meter. What is understood must survive
/// being printed and read again; errors must point into the text.
pub fn parse_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for form in [Form::Flow, Form::Modify, Form::Filter] {
        match parse_flow(text, form, &NoNames) {
            Ok(read) if form == Form::Flow => {
                let flow = read.into_flow();
                let printed = flow.to_string();
                let again = parse_flow(&printed, form, &NoNames).map(|read| read.into_flow());
                assert_eq!(again.as_ref(), Ok(&flow), "{printed}");
            }
            Ok(_) => {}
            Err(e) => {
                assert!(e.offset <= text.len(), "{e}");
                assert_eq!(e.render(text).lines().count(), 3, "{e}");
            }
        }
    }
    if let Ok(group) = parse_group(text, &NoNames) {
        let printed = show_group(&group, &NoNames);
        let again = parse_group(&printed, &NoNames).map(weighed);
        assert_eq!(again, Ok(weighed(group)), "{printed}");
    }
    if let Ok(meter) = parse_meter(text) {
        let printed = meter.to_string();
        assert_eq!(parse_meter(&printed).as_ref(), Ok(&meter), "{printed}");
    }
}
