//! What makes the flows there are the flows wanted. Pure.

use std::collections::HashMap;

use aorta_api::FlowReplaceAnswer;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::Command;
use aorta_flow::{Flow, Match};

/// A flow as tables tell one from another.
type Identity<'a> = (u8, u16, &'a Match);

fn identity(flow: &Flow) -> Identity<'_> {
    (flow.table, flow.priority, &flow.matching)
}

/// The modifications that are needed, removals first, and how many are of which kind. Of equal
/// flows among those wanted the last one counts.
pub fn difference(tables: &Tables, wanted: &[Flow]) -> (Vec<Modification>, FlowReplaceAnswer) {
    let mut missing: HashMap<Identity<'_>, usize> = HashMap::with_capacity(wanted.len());
    for (position, flow) in wanted.iter().enumerate() {
        missing.insert(identity(flow), position);
    }
    let mut answer = FlowReplaceAnswer {
        added: 0,
        removed: 0,
        modified: 0,
    };
    let mut modifications = Vec::new();
    let mut additions = Vec::new();
    for entry in tables.flows() {
        match missing.remove(&identity(&entry.flow)) {
            None => {
                answer.removed += 1;
                modifications.push(flow_mod(Command::DeleteStrict, &entry.flow));
            }
            Some(position) if wanted[position] != *entry.flow => {
                answer.modified += 1;
                additions.push(position);
            }
            Some(_) => {}
        }
    }
    answer.added = missing.len() as u64;
    additions.extend(missing.into_values());
    // The oldest of several flows that match is taken: the order is the given one.
    additions.sort_unstable();
    let additions = additions.into_iter().map(|position| &wanted[position]);
    modifications.extend(additions.map(|flow| flow_mod(Command::Add, flow)));
    (modifications, answer)
}

/// Which of the wanted flows a modification is for; the first if it is for none of them.
pub fn wanted_position(modification: Option<&Modification>, wanted: &[Flow]) -> usize {
    let Some(Modification::Flow(flow_mod)) = modification else {
        return 0;
    };
    let same = |flow: &Flow| identity(flow) == identity(&flow_mod.flow);
    wanted.iter().rposition(same).unwrap_or(0)
}

fn flow_mod(command: Command, flow: &Flow) -> Modification {
    Modification::Flow(FlowMod {
        command,
        table: Some(flow.table),
        flow: flow.clone(),
        ..FlowMod::default()
    })
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::{NoNames, parse_flow_file};

    use super::*;

    fn flows(text: &str) -> Vec<Flow> {
        let flows = parse_flow_file(text, &NoNames).unwrap();
        flows
            .into_iter()
            .map(|(_, flow)| flow.into_flow())
            .collect()
    }

    #[test]
    fn a_modification_is_told_by_the_flow_that_it_is_for() {
        let mut tables = Tables::new();
        for flow in flows("tcp,actions=1\nudp,actions=1\nicmp,actions=1\n") {
            tables.modify(&flow_mod(Command::Add, &flow)).unwrap();
        }
        let wanted = flows("udp,actions=1\narp,actions=1\nip,actions=1\narp,actions=group:7\n");
        let (modifications, _) = difference(&tables, &wanted);
        let refused = tables.modify_all(&modifications).unwrap_err();
        let refused = modifications.get(refused.position);
        assert_eq!(wanted_position(refused, &wanted), 3);
    }
}
