//! Man pages out of help texts. Pure.
//!
//! A help text has headings (lines at the margin that end with a colon), items (indented a little,
//! their explanation behind two blanks, or on lines that are indented far), examples, and
//! paragraphs.

use std::fmt::Write as _;

/// Items are indented less, what explains them at least so far.
const EXPLANATION: usize = 7;

/// What stands at the top of a page.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    /// The page's name.
    pub name: &'a str,
    /// What the program is, in a few words.
    pub summary: &'a str,
    /// Year, month and day.
    pub date: &'a str,
    /// The program's version.
    pub version: &'a str,
}

/// What headings of a help text become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// Sections of the page.
    Section,
    /// Bold paragraphs, of a part of a section.
    Paragraph,
}

/// A page, but for its end.
pub fn page(title: &Title<'_>, help: &str) -> String {
    let Title {
        name,
        summary,
        date,
        version,
    } = title;
    let mut text = format!(
        ".TH {} 8 \"{date}\" \"Aorta {version}\" \"Aorta\"\n.SH NAME\n{} \\- {}\n",
        name.to_uppercase(),
        escaped(name),
        escaped(summary)
    );
    let usage = |line: &&str| usage(line).is_some();
    text.push_str(".SH SYNOPSIS\n");
    for line in help.lines().filter_map(self::usage) {
        let _ = writeln!(text, "{}", escaped(line));
    }
    text.push_str(".SH DESCRIPTION\n");
    // The first line of most is PROGRAM: WHAT IT IS.
    let told = |line: &&str| usage(line) || line.ends_with(&format!(": {summary}"));
    let rest: Vec<&str> = help.lines().filter(|line| !told(line)).collect();
    text + &body(rest.join("\n").trim_start(), Heading::Section)
}

/// A help text as a part of a page.
pub fn body(help: &str, heading: Heading) -> String {
    let mut writer = Writer {
        text: String::new(),
        heading,
        state: State::Blank,
        verbatim: false,
    };
    let lines: Vec<&str> = help.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let before = lines.iter().take(number).rev();
        let indented = before.take_while(|line| indent(line) > 0).count();
        let block = lines.get(number - indented..).unwrap_or_default();
        writer.line(line, column(block));
    }
    writer.end_verbatim();
    writer.text
}

/// The long options that a help text explains, in alphabetical order.
pub fn options(help: &str) -> Vec<&str> {
    let item = |line: &&str| (2..EXPLANATION).contains(&indent(line));
    let words = help.lines().filter(item).flat_map(str::split_whitespace);
    let mut options: Vec<&str> = words
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split(['=', '[', ',']).next().unwrap_or(word))
        .collect();
    options.sort_unstable();
    options.dedup();
    options
}

/// A text as troff takes it.
pub fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// What the line of a help text says of how to call the program, if it does.
fn usage(line: &str) -> Option<&str> {
    line.strip_prefix("usage: ")
        .or_else(|| line.strip_prefix("Usage: "))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The column at which the explanations of a block of items begin, if one of its lines shows that.
fn column(block: &[&str]) -> Option<usize> {
    let lines = block.iter().take_while(|line| indent(line) > 0);
    lines
        .filter(|line| indent(line) < EXPLANATION)
        .find_map(|line| {
            let gap = line.trim_start().find("  ")? + indent(line);
            let rest = line.get(gap..)?;
            Some(gap + indent(rest))
        })
}

/// What the last line was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Blank,
    Paragraph,
    Item,
}

struct Writer {
    text: String,
    heading: Heading,
    state: State,
    verbatim: bool,
}

impl Writer {
    fn line(&mut self, line: &str, column: Option<usize>) {
        let depth = indent(line);
        match depth {
            _ if line.trim().is_empty() => {
                self.end_verbatim();
                self.state = State::Blank;
            }
            0 => self.at_margin(line),
            _ if self.verbatim => self.put(line.get(2..).unwrap_or(line)),
            1..EXPLANATION => self.item(line, column),
            _ => self.explanation(line.trim_start()),
        }
    }

    fn at_margin(&mut self, line: &str) {
        self.end_verbatim();
        if let Some(usage) = usage(line) {
            self.text.push_str(".PP\n");
            self.put(usage);
        } else if let Some(title) = line
            .strip_suffix(':')
            .filter(|_| self.state != State::Paragraph)
        {
            self.title(title);
        } else {
            if self.state != State::Paragraph {
                self.text.push_str(".PP\n");
            }
            self.put(line);
            self.state = State::Paragraph;
        }
    }

    fn title(&mut self, title: &str) {
        let verbatim = title == "Examples";
        let text = escaped(title).replace('"', "\\(dq");
        let _ = match self.heading {
            Heading::Section => writeln!(self.text, ".SH \"{}\"", text.to_uppercase()),
            Heading::Paragraph => writeln!(self.text, ".PP\n.B \"{text}\""),
        };
        if verbatim {
            self.text.push_str(".RS 4\n.nf\n");
            self.verbatim = true;
        }
        self.state = State::Blank;
    }

    fn item(&mut self, line: &str, column: Option<usize>) {
        let start = indent(line);
        let item = line.get(start..).unwrap_or(line);
        let gap = item.find("  ").or_else(|| {
            // The longest head of a block has one blank behind it.
            let gap = column?.checked_sub(start + 1)?;
            item.get(gap..)?.starts_with(' ').then_some(gap)
        });
        let (head, rest) = gap.map_or((item, ""), |gap| item.split_at(gap));
        self.text.push_str(".TP\n");
        let _ = writeln!(self.text, "\\fB{}\\fR", escaped(head));
        self.state = State::Item;
        if !rest.trim().is_empty() {
            self.explanation(rest.trim());
        }
    }

    fn explanation(&mut self, text: &str) {
        match self.state {
            State::Blank => self.text.push_str(".sp\n"),
            _ if text.starts_with("- ") => self.text.push_str(".br\n"),
            _ => {}
        }
        self.put(text);
        self.state = State::Item;
    }

    fn end_verbatim(&mut self) {
        if self.verbatim {
            self.text.push_str(".fi\n.RE\n");
            self.verbatim = false;
        }
    }

    fn put(&mut self, line: &str) {
        self.text.push_str(&escaped(line));
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
tool: does things
usage: tool [OPTIONS] COMMAND

Bridges:
  add-br BRIDGE   create it
  del-br BRIDGE [FORCE]
                  delete it
  a-long-one HERE exactly so long

A record is named by its id or,
in other cases:
  -x              back\\slash

Examples:
  tool add-br  br0    # a bridge
  .dot

Exit status: 0 done
";

    #[test]
    fn parts_of_a_help_text() {
        let title = Title {
            name: "tool",
            summary: "does things",
            date: "2000-01-02",
            version: "1.2",
        };
        let text = page(&title, HELP);
        let wanted = "\
.TH TOOL 8 \"2000-01-02\" \"Aorta 1.2\" \"Aorta\"
.SH NAME
tool \\- does things
.SH SYNOPSIS
tool [OPTIONS] COMMAND
.SH DESCRIPTION
.SH \"BRIDGES\"
.TP
\\fBadd\\-br BRIDGE\\fR
create it
.TP
\\fBdel\\-br BRIDGE [FORCE]\\fR
delete it
.TP
\\fBa\\-long\\-one HERE\\fR
exactly so long
.PP
A record is named by its id or,
in other cases:
.TP
\\fB\\-x\\fR
back\\eslash
.SH \"EXAMPLES\"
.RS 4
.nf
tool add\\-br  br0    # a bridge
\\&.dot
.fi
.RE
.PP
Exit status: 0 done
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn explanations_below_their_items() {
        let help = "\
Options:
      --datapath <KIND>
          What switches

          Possible values:
          - kernel: programs
          - sim:    memory

  -V, --version
          Print version
";
        let text = body(help, Heading::Paragraph);
        let wanted = "\
.PP
.B \"Options\"
.TP
\\fB\\-\\-datapath <KIND>\\fR
What switches
.sp
Possible values:
.br
\\- kernel: programs
.br
\\- sim:    memory
.TP
\\fB\\-V, \\-\\-version\\fR
Print version
";
        assert_eq!(text, wanted);
        assert_eq!(options(help), ["--datapath", "--version"]);
    }
}
