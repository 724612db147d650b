//! The catalogue as documentation.

use std::fmt::Write as _;

use super::{Code, FieldId, Prereq};

const INTRODUCTION: &str = "\
# Match fields

Generated from the catalogue in `datapath/flow/src/field`. *Exact* fields take no mask; a field
needs what stands under *Needs* in the same match. Fields with a code of Nicira's work with every
version of OpenFlow, others from the version that is named.

| Name | Bits | Written | Mask | Needs | Actions | Codes | |
|---|---|---|---|---|---|---|---|
";

/// A page about all fields, in Markdown.
pub fn render_docs() -> String {
    let mut page = INTRODUCTION.to_owned();
    for id in FieldId::all() {
        let field = id.field();
        let alias = field.alias.map(|a| format!(", `{a}`")).unwrap_or_default();
        let codes: Vec<String> = [field.nxm, field.oxm]
            .into_iter()
            .flatten()
            .map(code)
            .collect();
        let _ = writeln!(
            page,
            "| `{}`{alias} | {} | {} | {} | {} | {} | {} | {} |",
            field.name,
            field.bits,
            field.format.name(),
            if field.maskable { "any" } else { "exact" },
            match field.prereq {
                Prereq::None => "",
                prereq => prereq.remedy(),
            },
            if field.writable {
                "read, write"
            } else {
                "read"
            },
            codes.join(", "),
            field.help,
        );
    }
    page
}

fn code(code: Code) -> String {
    let since = match code.class.class {
        0x8000.. => format!(" from {}", code.since),
        _ => String::new(),
    };
    format!("{} ({}){since}", code.name, code.number)
}
