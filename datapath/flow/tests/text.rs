//! The text form of flows, on the tables of real controllers and on hand-picked lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_flow::Flow;
mod flows;
mod samples;

use aorta_flow::text::{Form, NoNames, parse_flow};

use samples::PIPELINES;

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

#[test]
fn tables_of_real_controllers_are_accepted() {
    for (name, lines, at_least) in PIPELINES {
        let flows: Vec<Flow> = lines.lines().map(|line| flow(line.trim())).collect();
        let tables = samples::tables(&flows);
        assert!(tables.len() >= at_least, "{name}: {}", tables.len());
    }
}
