//! Its cards, as the switch programs them.

use std::collections::BTreeMap;

use aorta_flow::{BridgeName, IfIndex, OfPort, PortName};
use aorta_placement::{Rule, RuleKey, Step, Verdict};

use super::{Fake, Nic};
use crate::config::OffloadMode;
use crate::reconcile::{
    Adopted, Card, CardError, CardPort, CardSpec, Cards, Counted, Language, Looked, Refusal,
};

impl Cards for Fake {
    type Card = FakeCard;

    fn look(&mut self, _: &BridgeName, ports: &[CardPort]) -> Looked {
        let host = self.host();
        let mut looked = Looked::default();
        for (name, nic) in &host.nics {
            let own = ports
                .iter()
                .filter(|port| nic.ports.contains(&port.ifindex));
            let own: BTreeMap<OfPort, (PortName, IfIndex)> = own
                .filter(|port| port.mode != OffloadMode::Ebpf)
                .map(|port| (port.ofport, (port.name.clone(), port.ifindex)))
                .collect();
            if !own.is_empty() {
                looked.cards.push(CardSpec {
                    name: name.clone(),
                    language: Language::Flower,
                    ports: own,
                    capabilities: nic.capabilities.clone(),
                });
            }
        }
        for port in ports {
            let of_card = |spec: &CardSpec| spec.ports.contains_key(&port.ofport);
            if !looked.cards.iter().any(of_card) {
                looked.without.insert(port.name.clone(), "no card".into());
            }
        }
        looked
    }

    fn open(&mut self, _: &BridgeName, spec: &CardSpec) -> Result<FakeCard, CardError> {
        let host = self.host();
        if let Some(why) = host
            .nics
            .get(&spec.name)
            .and_then(|nic| nic.unusable.clone())
        {
            return Err(CardError(why));
        }
        Ok(FakeCard {
            name: spec.name.clone(),
            host: self.clone(),
        })
    }

    fn sweep(&mut self, kept: &[IfIndex]) -> Vec<String> {
        let mut host = self.host();
        for nic in host.nics.values_mut() {
            if !nic.ports.iter().any(|port| kept.contains(port)) {
                nic.rules.clear();
            }
        }
        Vec::new()
    }
}

/// A card of it, in use.
#[derive(Debug)]
pub struct FakeCard {
    name: String,
    host: Fake,
}

impl FakeCard {
    fn usable<T>(&self, ask: impl FnOnce(&mut Nic) -> T) -> Result<T, CardError> {
        let mut host = self.host.host();
        if host.dead {
            return Err(CardError("dead".into()));
        }
        let nic = host.nic(&self.name);
        match &nic.unusable {
            Some(why) => Err(CardError(why.clone())),
            None => Ok(ask(nic)),
        }
    }
}

impl Card for FakeCard {
    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let mut host = self.host.host();
        let step = |step| host.step(&self.name, step);
        steps.iter().map(step).collect()
    }

    fn set_ports(&mut self, _: &BTreeMap<OfPort, IfIndex>) -> Result<bool, CardError> {
        self.usable(|nic| nic.changes_ports)
    }

    fn counters(&mut self) -> Result<Counted, CardError> {
        self.host.host().reads += 1;
        self.usable(|nic| {
            if nic.lost {
                return Err(CardError("rules are gone".into()));
            }
            let rules = nic.rules.iter();
            let there = rules.map(|(key, (_, counters))| (*key, *counters));
            Ok(there.collect())
        })?
    }

    fn ended(&mut self) -> Counted {
        self.usable(|nic| std::mem::take(&mut nic.gone))
            .unwrap_or_default()
    }

    fn adopt(&mut self, rules: &[Rule]) -> Result<Adopted, CardError> {
        let mut host = self.host.host();
        if host.dead {
            return Err(CardError("dead".into()));
        }
        let nic = host.nic(&self.name);
        if let Some(why) = &nic.unusable {
            return Err(CardError(why.clone()));
        }
        let wanted = rules.iter().map(|rule| (rule.key(), rule));
        let there = nic.rules.iter().map(|(key, (rule, _))| (*key, rule));
        let wanted: BTreeMap<RuleKey, &Rule> = wanted.collect();
        let all = wanted.into_iter().eq(there);
        let mut ended = Vec::new();
        if !all {
            for (key, (rule, counters)) in std::mem::take(&mut nic.rules) {
                let decides = matches!(rule.verdict, Verdict::Forward { .. });
                ended.extend(key.flow.filter(|_| decides).map(|flow| (flow, counters)));
            }
            nic.lost = false;
        }
        Ok(Adopted {
            all,
            foreign: nic.foreign.clone(),
            ended,
        })
    }

    fn clear(&mut self) -> Result<(), CardError> {
        self.usable(|nic| {
            nic.rules.clear();
            nic.lost = false;
        })
    }
}
