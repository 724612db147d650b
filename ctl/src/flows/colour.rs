//! Colours of flows on a terminal.

use crate::commands::switch::Colour;

const NAME: &str = "36";
const PLACE: &str = "33";
const PROTOCOL: &str = "32";
const ACTIONS: &str = "1;31";
const CALL: &str = "35";

/// A line of a dump with its parts in the colours that ovs-ofctl gives them.
pub fn paint(line: &str, colour: Colour) -> String {
    if colour == Colour::Plain {
        return line.to_owned();
    }
    let Some((head, actions)) = line.split_once("actions=") else {
        return line.to_owned();
    };
    let mut out = String::with_capacity(line.len() * 2);
    for part in head.split_inclusive([',', ' ']) {
        let word = part.trim_end_matches([',', ' ']);
        let end = &part[word.len()..];
        match word.split_once('=') {
            Some((name @ ("table" | "priority"), value)) => {
                out.push_str(&colour.paint(PLACE, &format!("{name}=")));
                out.push_str(value);
            }
            Some((name, value)) => {
                out.push_str(&colour.paint(NAME, &format!("{name}=")));
                out.push_str(value);
            }
            None if word.is_empty() => {}
            None => out.push_str(&colour.paint(PROTOCOL, word)),
        }
        out.push_str(end);
    }
    out.push_str(&colour.paint(ACTIONS, "actions="));
    paint_actions(&mut out, actions, colour);
    out
}

/// Names in front of `:` and `(`, and what closes them.
fn paint_actions(out: &mut String, actions: &str, colour: Colour) {
    let mut word = String::new();
    for c in actions.chars() {
        match c {
            '(' | ':' if !word.is_empty() && word.starts_with(|c: char| c.is_alphabetic()) => {
                let code = if c == '(' { CALL } else { PLACE };
                word.push(c);
                out.push_str(&colour.paint(code, &word));
                word.clear();
            }
            ')' => {
                out.push_str(&word);
                out.push_str(&colour.paint(CALL, ")"));
                word.clear();
            }
            ',' | '=' | '>' | '(' => {
                out.push_str(&word);
                out.push(c);
                word.clear();
            }
            _ => word.push(c),
        }
    }
    out.push_str(&word);
}
