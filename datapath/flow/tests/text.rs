//! The text form of flows, on the tables of real controllers and on hand-picked lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_flow::Flow;
mod flows;

use aorta_flow::action::Action;
use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{Form, NoNames, parse_flow, parse_group, parse_meter};

const PIPELINES: [(&str, &str, usize); 3] = [
    (
        "neutron-br-int",
        include_str!("samples/neutron-br-int.flows"),
        300,
    ),
    (
        "neutron-br-tun",
        include_str!("samples/neutron-br-tun.flows"),
        20,
    ),
    ("ovn-br-int", include_str!("samples/ovn-br-int.flows"), 1083),
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

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(2000)
    })]

    #[test]
    fn what_is_printed_reads_as_the_same_flow(original in flows::any_flow()) {
        let text = original.to_string();
        let read = parse_flow(&text, Form::Flow, &NoNames).map_err(|e| {
            proptest::test_runner::TestCaseError::fail(e.render(&text))
        })?;
        proptest::prop_assert_eq!(read.into_flow(), original, "{}", text);
    }
}

/// Groups and meters that the flows refer to.
fn referred(flow: &Flow) -> Vec<Modification> {
    let modification = |action: &Action| match action {
        Action::Group(id) => {
            let text = format!("group_id={id},type=all");
            let group = parse_group(&text, &NoNames).unwrap();
            Some(Modification::Group(GroupMod::AddOrModify(group)))
        }
        Action::Meter(id) => {
            let text = format!("meter={id},kbps,band=type=drop,rate=1");
            Some(Modification::Meter(MeterMod::Add(
                parse_meter(&text).unwrap(),
            )))
        }
        _ => None,
    };
    let actions = flow.instructions.all_actions();
    actions.into_iter().filter_map(modification).collect()
}

#[test]
fn tables_of_real_controllers_are_accepted() {
    for (name, lines, at_least) in PIPELINES {
        let mut tables = Tables::new();
        for line in lines.lines() {
            let flow = flow(line.trim());
            for modification in referred(&flow) {
                // A meter may be there already.
                let _ = tables.modify(&modification);
            }
            let add = FlowMod {
                table: Some(flow.table),
                flow,
                ..FlowMod::default()
            };
            if let Err(e) = tables.modify(&Modification::Flow(add)) {
                panic!("{name}: {line}: {e}");
            }
        }
        assert!(tables.len() >= at_least, "{name}: {}", tables.len());
    }
}
