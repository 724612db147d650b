//! Rules as filters. Pure.
//!
//! - A table is a chain, packets begin in both at 0. `goto` is `goto chain`.
//! - A priority is a preference ([`pref`]), for frames of all protocols: the type is one of the keys.
//! - A rule for one port is on that port, others are on each of the card's. There, a rule for a type is
//!   a filter for each way in which tags may stand in front of it ([`Stacks`]).

mod actions;
mod edit;
mod labels;
mod matching;
mod stacks;

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::field::FieldId;
use aorta_flow::{IfIndex, OfPort};
use aorta_placement::{Rule, Verdict};

use self::actions::{Packets, forward};
use self::matching::{Matched, matched};
use self::stacks::{Stack, behind};
use super::cookie::bucket_number;
use super::{Header, Keys, Pedit, Police, Refusal, Running, TcAction};

pub use stacks::{AUTHENTICATION, Stacks};

/// Preference of guards: before all rules.
pub const GUARD_PREF: u16 = 1;
/// Preference of what becomes of packets that match no flow, and of flows of priority 0.
const LAST_PREF: u16 = u16::MAX;

/// Preference of a rule: there are two fewer of these than ranks of rules. The three highest priorities
/// share one; those of priority 0 share theirs with what becomes of packets that match none.
pub fn pref(rule: &Rule) -> u16 {
    match rule.flow {
        None => LAST_PREF,
        Some(_) => (LAST_PREF - rule.priority).max(GUARD_PREF + 1),
    }
}

/// Whether rules of several priorities have this preference.
pub fn is_shared(pref: u16) -> bool {
    pref == LAST_PREF || pref == GUARD_PREF + 1
}

/// How refusals begin of rules that are right only behind guards which the card refused.
pub const UNGUARDED: &str = "the card can't leave";

/// What rules need to be lowered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lowering {
    /// The card's ports.
    pub ports: BTreeMap<OfPort, IfIndex>,
    /// Who runs the filters.
    pub running: Running,
    /// Tags of frames that the card may decide.
    pub stacks: Stacks,
    /// Whose meters they are, for numbers of buckets: those of two bridges differ in it.
    pub meters_of: String,
}

/// One filter of a rule, without its place in the card's account.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lowered {
    /// On which device.
    pub device: IfIndex,
    /// Which packets.
    pub keys: Keys,
    /// What becomes of them.
    pub actions: Vec<TcAction>,
    /// What must be so of all frames that the card decides.
    pub needs: Needs,
}

/// What must be so of all frames that the card decides, for a filter to be right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Needs {
    /// They have no other tags than [`Stacks`] says.
    pub known_tags: bool,
    /// They aren't fragments, and have no authentication header.
    pub whole: bool,
    /// They aren't ARP of other operations than requests and replies.
    pub plain_arp: bool,
    /// Their time to live isn't 0 or 1.
    pub lasting: bool,
}

impl Needs {
    /// These and others.
    #[must_use]
    pub fn with(self, other: Needs) -> Needs {
        Needs {
            known_tags: self.known_tags || other.known_tags,
            whole: self.whole || other.whole,
            plain_arp: self.plain_arp || other.plain_arp,
            lasting: self.lasting || other.lasting,
        }
    }
}

impl Needs {
    /// Whether all is so, where this isn't.
    ///
    /// # Errors
    /// With the first that isn't.
    pub fn check(self, missing: Needs) -> Result<(), Refusal> {
        let lacking = if self.known_tags && missing.known_tags {
            "frames to software by their VLAN tags"
        } else if self.whole && missing.whole {
            "fragments to software"
        } else if self.plain_arp && missing.plain_arp {
            "ARP of unusual operations to software"
        } else if self.lasting && missing.lasting {
            "packets whose time to live ends to software"
        } else {
            return Ok(());
        };
        Err(Refusal::unsupported(format!("{UNGUARDED} {lacking}")))
    }
}

impl Lowering {
    /// Whether the card runs the filters.
    pub fn is_in_hardware(&self) -> bool {
        self.running == Running::InHardware
    }

    /// Filters that leave to software what rules can't be right about.
    pub fn guards(&self) -> Vec<(Keys, Needs)> {
        let none = Needs::default();
        let known_tags = Needs {
            known_tags: true,
            ..none
        };
        let whole = Needs {
            whole: true,
            ..none
        };
        let plain_arp = Needs {
            plain_arp: true,
            ..none
        };
        let lasting = Needs {
            lasting: true,
            ..none
        };
        let all = [
            (self.stacks.others(), known_tags),
            (self.stacks.fragments(self.running), whole),
            (self.stacks.authenticated(self.running), whole),
            (self.stacks.odd_arp(self.running), plain_arp),
            (self.stacks.ending(self.running), lasting),
        ];
        let each = all
            .into_iter()
            .flat_map(|(kinds, needs)| kinds.into_iter().map(move |keys| (keys, needs)));
        each.collect()
    }

    /// What leaves packets to software.
    pub fn trap(&self) -> TcAction {
        match self.running {
            Running::InHardware => TcAction::Trap,
            Running::InSoftware => TcAction::Pass,
        }
    }

    /// The device of one of the card's ports.
    fn device(&self, port: OfPort) -> Result<IfIndex, Refusal> {
        let device = self.ports.get(&port).copied();
        device.ok_or_else(|| Refusal::unsupported(format!("port {port} isn't the card's")))
    }

    /// The bucket of a rule.
    fn police(&self, rule: &Rule) -> Option<Police> {
        rule.policer.map(|policer| Police {
            index: bucket_number(&self.meters_of, policer),
            rate: policer.rate,
            burst_ns: policer.burst_ns,
        })
    }

    /// The filters of a rule.
    ///
    /// # Errors
    /// When flower can't say it.
    pub fn lower(&self, rule: &Rule) -> Result<Vec<Lowered>, Refusal> {
        self.lower_on(rule, self.ports_of(rule)?)
    }

    /// Those of them that are on some of the card's ports.
    ///
    /// # Errors
    /// When flower can't say it.
    pub fn lower_at(&self, rule: &Rule, ports: &BTreeSet<OfPort>) -> Result<Vec<Lowered>, Refusal> {
        let mut of = self.ports_of(rule).unwrap_or_default();
        of.retain(|(port, _)| ports.contains(port));
        self.lower_on(rule, of)
    }

    fn lower_on(
        &self,
        rule: &Rule,
        ports: Vec<(OfPort, IfIndex)>,
    ) -> Result<Vec<Lowered>, Refusal> {
        let matched = matched(&rule.matching)?;
        let mut all = Vec::new();
        for (port, device) in ports {
            let variants = self.variants(rule, &matched, port)?;
            let lowered = variants.into_iter().map(|(keys, actions)| Lowered {
                device,
                needs: Needs {
                    known_tags: keys.is_typed() || actions.iter().any(changes_labels),
                    whole: matched.transport
                        || matched.is_of_ipv6()
                        || actions.iter().any(changes(&TRANSPORT)),
                    plain_arp: keys.is_about_arp() || actions.iter().any(changes(&ARP)),
                    lasting: actions.iter().any(lowers_ttl),
                },
                keys,
                actions,
            });
            all.extend(lowered);
        }
        Ok(all)
    }

    fn ports_of(&self, rule: &Rule) -> Result<Vec<(OfPort, IfIndex)>, Refusal> {
        let all = self.ports.iter().map(|(port, device)| (*port, *device));
        let Some(port) = rule.matching.exact(FieldId::IN_PORT) else {
            return Ok(all.collect());
        };
        let of: Vec<_> = all.filter(|(known, _)| port == known.0.into()).collect();
        match of.is_empty() {
            false => Ok(of),
            true => Err(Refusal::unsupported(format!(
                "port {port} isn't the card's"
            ))),
        }
    }

    /// Keys and actions for each way in which tags may stand.
    fn variants(
        &self,
        rule: &Rule,
        matched: &Matched,
        from: OfPort,
    ) -> Result<Vec<(Keys, Vec<TcAction>)>, Refusal> {
        let tag = matched.tag;
        let admitted = |stack: &&Stack| match stack.is_empty() {
            true => tag.admits_untagged(),
            false => tag.admits_tagged(),
        };
        let police = self.police(rule);
        let mut all: Vec<(&Stack, Vec<TcAction>)> = Vec::new();
        for stack in self.stacks.iter().filter(admitted) {
            let packets = Packets {
                from,
                stack,
                matched,
                police,
            };
            let actions = match &rule.verdict {
                Verdict::Trap => vec![self.trap()],
                Verdict::Forward { actions, goto } => forward(actions, *goto, &packets, self)?,
            };
            all.push((stack, actions));
        }
        let alike = all.windows(2).all(|two| two[0].1 == two[1].1);
        let everything = tag.admits_untagged() && tag.vid().is_none() && tag.pcp().is_none();
        if alike && everything && tag.admits_tagged() && matched.ethertype.is_none() {
            let first = all.into_iter().next();
            return Ok(first
                .map(|(_, actions)| (matched.keys.clone(), actions))
                .into_iter()
                .collect());
        }
        if matched.ethertype.is_none() {
            all = shortest(all)?;
        }
        let keyed = all.into_iter().map(|(stack, actions)| {
            let mut keys = behind(stack, matched.ethertype, self.running);
            if !stack.is_empty() {
                tag.put(&mut keys);
            }
            for part in matched.keys.parts() {
                keys.set_masked(part.key, part.value, part.mask);
            }
            (keys, actions)
        });
        Ok(keyed.collect())
    }
}

const TRANSPORT: [Header; 2] = [Header::Tcp, Header::Udp];
const ARP: [Header; 1] = [Header::Network];

/// Whether an action changes one of these headers.
fn changes(headers: &[Header]) -> impl Fn(&TcAction) -> bool {
    move |action| {
        let in_header = |one: &Pedit| headers.contains(&one.header);
        matches!(action, TcAction::Pedit(all) if all.iter().any(in_header))
    }
}

fn lowers_ttl(action: &TcAction) -> bool {
    matches!(action, TcAction::Pedit(all) if all.iter().any(|one| one.adds))
}

fn changes_labels(action: &TcAction) -> bool {
    matches!(
        action,
        TcAction::MplsPush { .. } | TcAction::MplsPop { .. } | TcAction::MplsModify(_)
    )
}

/// Without those that others cover: where no type is asked for, a tag covers whatever is behind it.
fn shortest(all: Vec<(&Stack, Vec<TcAction>)>) -> Result<Vec<(&Stack, Vec<TcAction>)>, Refusal> {
    let mut kept: Vec<(&Stack, Vec<TcAction>)> = Vec::new();
    for (stack, actions) in all {
        let covering = kept
            .iter()
            .find(|(other, _)| !other.is_empty() && stack.starts_with(other));
        match covering {
            None => kept.push((stack, actions)),
            Some((_, same)) if *same == actions => {}
            Some(_) => {
                let text = "what becomes of a tagged frame depends on the tag behind the outer one";
                return Err(Refusal::unsupported(text));
            }
        }
    }
    Ok(kept)
}
