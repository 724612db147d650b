//! The text form of flows, on the tables of real controllers and on hand-picked lines.

use aorta_flow::Flow;
use aorta_flow::text::{Form, NoNames, parse_flow};

const PIPELINES: [(&str, &str, usize); 3] = [
    (
        "neutron-br-int",
        include_str!("pipelines/neutron-br-int.flows"),
        300,
    ),
    (
        "neutron-br-tun",
        include_str!("pipelines/neutron-br-tun.flows"),
        20,
    ),
    (
        "ovn-br-int",
        include_str!("pipelines/ovn-br-int.flows"),
        1083,
    ),
];

fn flow(text: &str) -> Flow {
    match parse_flow(text, Form::Flow, &NoNames) {
        Ok(flow) => flow.into_flow(),
        Err(e) => panic!("{}", e.render(text)),
    }
}

#[test]
fn tables_of_real_controllers_print_as_they_were_dumped() {
    for (name, lines, at_least) in PIPELINES {
        let mut count = 0;
        for line in lines.lines().map(str::trim) {
            let read = flow(line);
            assert_eq!(read.to_string(), line, "{name}");
            assert_eq!(flow(&read.to_string()), read);
            count += 1;
        }
        assert!(count >= at_least, "{name}: only {count} flows");
    }
}
