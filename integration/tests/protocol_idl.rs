//! The Python library with which os-vif, Neutron and others follow the database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use aorta_integration::lab::{SYSTEM_PYTHON, python};
use common::done;
use common::python::Served;
use serde_json::Value;

const SCRIPT: &str = "idl_cases.py";

/// A switch with a bridge, and a file with the schema that its clients use.
struct Place {
    served: Served,
    schema: tempfile::NamedTempFile,
}

impl Place {
    fn new(label: &str) -> Place {
        let served = Served::new(label);
        done(&served.switch, "add-br br0");
        let schema = tempfile::NamedTempFile::new().unwrap();
        let text = served.switch.client("ovsdb-client", &["get-schema"]);
        std::fs::write(schema.path(), text.unwrap().ok().unwrap().stdout).unwrap();
        Place { served, schema }
    }

    fn schema(&self) -> &str {
        self.schema.path().to_str().unwrap()
    }
}

/// Runs a case with a switch of its own each: Debian's library by the socket, PyPI's by TCP.
fn case(name: &str, words: &[&str]) {
    for (at, python) in [SYSTEM_PYTHON.into(), python().unwrap()].iter().enumerate() {
        let place = Place::new(name);
        let first = [name, &place.served.remotes()[at], place.schema()];
        let words = [&first, words].concat();
        place.served.run(python, SCRIPT, &words);
    }
}

/// Runs a case that has things done to the switch meanwhile: it says what, by a word on a line.
fn case_with(name: &str, pythons: [&Path; 2], act: impl Fn(&mut Place, &str)) {
    for (at, python) in pythons.into_iter().enumerate() {
        let mut place = Place::new(name);
        let words = [name, &place.served.remotes()[at], place.schema()];
        let mut command = place.served.case(python, SCRIPT, &words);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = piped.spawn().unwrap();
        let lines = BufReader::new(script.stdout.take().unwrap()).lines();
        let mut answer = script.stdin.take().unwrap();
        let mut acts = 0;
        for line in lines {
            act(&mut place, &line.unwrap());
            answer.write_all(b"done\n").unwrap();
            acts += 1;
        }
        assert!(script.wait().unwrap().success());
        assert!(acts > 0);
    }
}

#[test]
fn a_port_is_added_and_removed() {
    case("a_port", &["tap0"]);
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            case(stringify!($name), &[]);
        })*
    };
}

cases! { conditions locks verified counted mutated refused of_some_columns }

#[test]
fn restarts() {
    let newer = python().unwrap();
    case_with(
        "restarts",
        [Path::new(SYSTEM_PYTHON), &newer],
        |place, how| {
            if how == "kill" {
                place.served.switch.kill().unwrap();
            }
            place.served.switch.restart().unwrap();
        },
    );
}

#[test]
fn converted() {
    // Debian's library doesn't understand what it is told then.
    let newer = python().unwrap();
    case_with("converted", [&newer, &newer], |place, _| {
        let text = std::fs::read_to_string(place.schema()).unwrap();
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        schema["version"] = "8.9.0".into();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), schema.to_string()).unwrap();
        let words = ["convert", file.path().to_str().unwrap()];
        place
            .served
            .switch
            .client("ovsdb-client", &words)
            .unwrap()
            .ok()
            .unwrap();
    });
}
