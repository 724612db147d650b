//! Where flows run, and why not further up: on a network card, at XDP, at tc, in user space. Pure.

use std::collections::BTreeSet;

use aorta_api::FlowPlacement;
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::TableFlow;
use aorta_flow::{Flow, OfPort};

use crate::offload::{NicPlace, Places};
use crate::reconcile::XdpTakes;

/// What is known of a bridge.
#[derive(Debug)]
pub struct Placer {
    /// Where its tables run: `tcx`, `sim` or `none`.
    pub hook: String,
    /// Its ports.
    pub ports: BTreeSet<OfPort>,
    /// What cards have; nothing while they are to have none.
    pub nics: Option<Places>,
    /// What its ports with XDP do there, if there are any.
    pub xdp: Option<Result<XdpTakes, String>>,
}

impl Placer {
    /// Of a flow.
    pub fn of(&self, entry: &TableFlow) -> FlowPlacement {
        let flow = &entry.flow;
        let mut placement = FlowPlacement::default();
        let mut why = Vec::new();
        let nowhere = NicPlace::default();
        match &self.nics {
            None => why.push("nic: other_config:hw-offload is not true".to_owned()),
            Some(nics) if nics.cards.is_empty() => {
                why.push(
                    "nic: no port of the bridge belongs to a card that takes flows".to_owned(),
                );
            }
            Some(nics) => {
                let place = nics.flows.get(&entry.id).unwrap_or(&nowhere);
                nic(nics, place, &mut placement.places, &mut why);
                if covers(nics, place, flow, &self.ports) {
                    placement.why = why.join("; ");
                    return placement;
                }
            }
        }
        self.software(flow, &mut placement.places, &mut why);
        placement.why = why.join("; ");
        placement
    }

    fn software(&self, flow: &Flow, places: &mut Vec<String>, why: &mut Vec<String>) {
        match &self.xdp {
            None => {}
            Some(Ok(takes)) if takes(flow) => places.push("xdp".to_owned()),
            Some(Ok(_)) => {
                why.push("xdp: it does something that needs the program at tc".to_owned())
            }
            Some(Err(refused)) => why.push(format!("xdp: {refused}")),
        }
        places.push(match self.hook.as_str() {
            "tcx" => "tc".to_owned(),
            other => other.to_owned(),
        });
        if let Some(action) = needs_user_space(flow) {
            places.push("user space".to_owned());
            why.push(format!("tc: user space does {action}"));
        }
    }
}

/// Which cards have it, and why the others haven't.
fn nic(nics: &Places, place: &NicPlace, places: &mut Vec<String>, why: &mut Vec<String>) {
    let name = |at: usize| nics.cards.get(at).map_or("?", |card| card.name.as_str());
    places.extend(place.on.iter().map(|at| format!("nic({})", name(*at))));
    for (at, reason) in &place.why {
        why.push(format!("nic({}): {reason}", name(*at)));
    }
    for card in &nics.cards {
        if let Some(trouble) = &card.trouble {
            why.push(format!("nic({}): {trouble}", card.name));
        }
    }
}

/// Whether all packets that match it come in at cards that have it.
fn covers(nics: &Places, place: &NicPlace, flow: &Flow, ports: &BTreeSet<OfPort>) -> bool {
    let cards = place.on.iter().filter_map(|at| nics.cards.get(*at));
    let on: BTreeSet<OfPort> = cards.flat_map(|card| card.ports.keys().copied()).collect();
    let (port, mask) = flow.matching.get(FieldId::IN_PORT);
    match mask {
        0 => !on.is_empty() && ports.is_subset(&on),
        _ => u16::try_from(port).is_ok_and(|port| on.contains(&OfPort(port))),
    }
}

/// What user space does for a flow.
fn needs_user_space(flow: &Flow) -> Option<&'static str> {
    let actions = flow.instructions.all_actions();
    actions.into_iter().find_map(|action| match action {
        Action::Controller(_) => Some("controller"),
        Action::Learn(_) => Some("learn"),
        Action::FinTimeout { .. } => Some("fin_timeout"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aorta_flow::table::FlowId;

    use super::*;
    use crate::offload::CardPlaces;
    use crate::ofproto;

    fn placer(nics: Option<Places>, xdp: Option<Result<XdpTakes, String>>) -> Placer {
        Placer {
            hook: "tcx".into(),
            ports: [1, 2, 3].map(OfPort).into(),
            nics,
            xdp,
        }
    }

    fn card(name: &str, ports: &[u16]) -> CardPlaces {
        let ports = ports
            .iter()
            .map(|port| (OfPort(*port), format!("p{port}").as_str().into()));
        CardPlaces {
            name: name.into(),
            ports: ports.collect(),
            ..CardPlaces::default()
        }
    }

    fn of(placer: &Placer, line: &str) -> (String, String) {
        let mut flows = ofproto::flows(&[line.to_owned()], &Default::default()).unwrap();
        let entry = TableFlow {
            id: FlowId(1),
            flow: Arc::new(flows.remove(0)),
        };
        let FlowPlacement { places, why } = placer.of(&entry);
        (places.join(", "), why)
    }

    #[test]
    fn places_and_reasons() {
        let off = placer(None, None);
        let hw_off = "nic: other_config:hw-offload is not true";
        assert_eq!(of(&off, "ip,actions=2"), ("tc".into(), hw_off.into()));
        let (places, why) = of(&off, "ip,actions=controller,2");
        assert_eq!(places, "tc, user space");
        assert_eq!(why, format!("{hw_off}; tc: user space does controller"));
        let takes: XdpTakes = |flow| flow.priority != 7;
        let xdp = placer(None, Some(Ok(takes)));
        assert_eq!(of(&xdp, "ip,actions=2").0, "xdp, tc");
        let (places, why) = of(&xdp, "priority=7,ip,actions=2");
        assert_eq!(places, "tc");
        assert!(why.ends_with("xdp: it does something that needs the program at tc"));

        let mut nics = Places {
            cards: vec![card("pf0", &[1, 2]), card("pf1", &[3])],
            ..Places::default()
        };
        let place = NicPlace {
            on: vec![0],
            why: vec![(1, "table full: 2 of 2".into())],
        };
        nics.flows.insert(FlowId(1), place);
        let on = placer(Some(nics.clone()), None);
        let full = "nic(pf1): table full: 2 of 2";
        assert_eq!(
            of(&on, "ip,actions=2"),
            ("nic(pf0), tc".into(), full.into())
        );
        assert_eq!(
            of(&on, "in_port=1,actions=2"),
            ("nic(pf0)".into(), full.into())
        );
        assert_eq!(of(&on, "in_port=3,actions=2").0, "nic(pf0), tc");
        nics.flows.insert(
            FlowId(1),
            NicPlace {
                on: vec![0, 1],
                why: vec![],
            },
        );
        nics.cards[1].trouble = Some("no such device".into());
        let both = placer(Some(nics), None);
        let trouble = "nic(pf1): no such device";
        assert_eq!(
            of(&both, "actions=2"),
            ("nic(pf0), nic(pf1)".into(), trouble.into())
        );
        let none = placer(Some(Places::default()), None);
        assert!(
            of(&none, "actions=2")
                .1
                .contains("no port of the bridge belongs to a card")
        );
    }
}
