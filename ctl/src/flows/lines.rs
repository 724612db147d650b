//! Texts of flows, groups and meters before they are sent: where they come from, and whether they
//! can be read.

use std::fmt;
use std::ops::Range;

use aorta_flow::text::{
    Command, FlowText, Form, Names, Problem, TextError, parse_flow, parse_flow_line,
};

/// Where texts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Argument,
    /// A file, `-` for standard input: one text on each line.
    File(String),
}

/// Texts, each with its place.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Where they come from.
    pub origin: Origin,
    text: String,
    places: Vec<Place>,
}

/// Where one text is.
#[derive(Debug, Clone)]
struct Place {
    range: Range<usize>,
    line: usize,
}

/// A text that can't be read, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Where it stands, ready for the start of a message; empty on the command line.
    pub at: String,
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub error: Box<TextError>,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, self.error.render(&self.text))
    }
}

impl std::error::Error for LineError {}

impl Lines {
    /// The one text of an argument; none if it is empty.
    pub fn of_argument(text: &str) -> Lines {
        Lines {
            origin: Origin::Argument,
            places: vec![Place {
                range: 0..text.len(),
                line: 1,
            }],
            text: text.to_owned(),
        }
    }

    /// The lines of a file, without comments and empty ones.
    pub fn of_file(name: &str, text: String) -> Lines {
        let mut places = Vec::new();
        let mut start = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let told = line.split('#').next().unwrap_or(line);
            let before = told.len() - told.trim_start().len();
            let range = start + before..start + before + told.trim().len();
            if !range.is_empty() {
                let line = number + 1;
                places.push(Place { range, line });
            }
            start += line.len();
        }
        Lines {
            origin: Origin::File(name.to_owned()),
            text,
            places,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// One of them, from 0.
    pub fn get(&self, index: usize) -> &str {
        let place = self.places.get(index);
        place
            .and_then(|place| self.text.get(place.range.clone()))
            .unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Where one stands, ready for the start of a message.
    pub fn at(&self, index: usize) -> String {
        match (&self.origin, self.places.get(index)) {
            (Origin::File(name), Some(place)) => format!("{name}:{}: ", place.line),
            _ => String::new(),
        }
    }

    /// The texts in pieces of at most so many bytes, as they are sent, each with the index of its
    /// first. A longer text is a piece of its own.
    pub fn pieces(&self, max_bytes: usize) -> Vec<Range<usize>> {
        /// What JSON puts around a text.
        const AROUND: usize = 3;
        let mut pieces: Vec<Range<usize>> = Vec::new();
        let mut bytes = 0;
        for (index, place) in self.places.iter().enumerate() {
            let size = place.range.len() + AROUND;
            match pieces.last_mut().filter(|_| bytes + size <= max_bytes) {
                Some(piece) => piece.end = index + 1,
                None => {
                    pieces.push(index..index + 1);
                    bytes = 0;
                }
            }
            bytes += size;
        }
        pieces
    }

    /// Whether each can be read as a flow. With `words`, a line may begin with what is to be done.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check_flows(
        &self,
        form: Form,
        words: bool,
        names: &dyn Names,
        seen: &mut dyn FnMut(usize),
    ) -> Result<(), LineError> {
        self.check(seen, |text| match words {
            true => {
                let (command, flow) = parse_flow_line(text, names)?;
                without_priority(text, command == Command::Delete, &flow)
            }
            false => parse_flow(text, form, names).map(|_| ()),
        })
    }

    /// Whether each can be read as what selects flows whatever their priority is, and doesn't
    /// name one that nobody would look at.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check_filters(&self, names: &dyn Names) -> Result<(), LineError> {
        self.check(&mut |_| {}, |text| {
            without_priority(text, true, &parse_flow(text, Form::Filter, names)?)
        })
    }

    /// Whether each can be read.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check(
        &self,
        seen: &mut dyn FnMut(usize),
        read: impl Fn(&str) -> Result<(), TextError>,
    ) -> Result<(), LineError> {
        for (index, text) in self.iter().enumerate() {
            seen(index);
            read(text).map_err(|error| LineError {
                at: self.at(index),
                text: text.to_owned(),
                error: Box::new(error),
            })?;
        }
        Ok(())
    }
}

fn without_priority(text: &str, loose: bool, flow: &FlowText) -> Result<(), TextError> {
    const WORD: &str = "priority";
    if !loose || flow.priority.is_none() {
        return Ok(());
    }
    Err(TextError {
        offset: text.find(WORD).unwrap_or(0),
        len: WORD.len(),
        problem: Problem::Rule("flows of every priority are meant here; it counts with --strict"),
    })
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::NoNames;

    use super::*;

    fn file(text: &str) -> Lines {
        Lines::of_file("acl.flows", text.to_owned())
    }

    #[test]
    fn lines_keep_their_numbers() {
        let lines = file("# all\n\n  tcp actions=1 # one\r\nudp,actions=2");
        let texts: Vec<&str> = lines.iter().collect();
        assert_eq!(texts, ["tcp actions=1", "udp,actions=2"]);
        assert_eq!(
            (lines.at(0), lines.at(1)),
            ("acl.flows:3: ".into(), "acl.flows:4: ".into())
        );
        assert!(file("#\n\n").is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_pointed_at() {
        let lines = file("actions=1\ndelete udp\ntcp,tp_dts=4,actions=1\n");
        let refused = lines.check_flows(Form::Flow, true, &NoNames, &mut |_| {});
        let text = refused.unwrap_err().to_string();
        assert_eq!(
            text,
            "acl.flows:3: column 5: there is no field \"tp_dts\"; did you mean \"tp_dst\"?\n  \
             tcp,tp_dts=4,actions=1\n      ^^^^^^"
        );
        let argument = Lines::of_argument("tcp");
        let refused = argument.check_flows(Form::Flow, false, &NoNames, &mut |_| {});
        assert!(refused.unwrap_err().to_string().starts_with("column 4: "));
    }

    #[test]
    fn words_belong_to_lines_that_may_have_them() {
        let lines = file("delete udp\n");
        assert_eq!(
            lines.check_flows(Form::Flow, true, &NoNames, &mut |_| {}),
            Ok(())
        );
        assert!(
            lines
                .check_flows(Form::Flow, false, &NoNames, &mut |_| {})
                .is_err()
        );
    }

    #[test]
    fn what_selects_flows_of_any_priority_names_none() {
        let refused = Lines::of_argument("tcp,priority=5").check_filters(&NoNames);
        let text = refused.unwrap_err().to_string();
        assert!(
            text.starts_with("column 5: flows of every priority"),
            "{text}"
        );
        let lines = file("delete_strict priority=5\ndelete priority=5\n");
        let refused = lines.check_flows(Form::Flow, true, &NoNames, &mut |_| {});
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .starts_with("acl.flows:2: column 8: ")
        );
    }

    #[test]
    fn pieces_are_small_enough_and_leave_nothing_out() {
        let lines = file("aaaa\nbb\ncccccccccccccccccccc\ndd\nee\n");
        assert_eq!(lines.pieces(12), [0..2, 2..3, 3..5]);
        assert_eq!(lines.pieces(1000), vec![Range { start: 0, end: 5 }]);
        assert!(file("").pieces(10).is_empty());
    }
}
