//! The host's network cards behind the switch's trait.

mod ebpf;
pub mod flower;
mod memory;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aorta_compiler::offload::CardLimits;
use aorta_flow::{BridgeName, IfIndex, OfPort};
use aorta_kernel::offload::discover::{self, FoundCard};
use aorta_kernel::offload::ebpf::{Probed, Prober};
use aorta_kernel::offload::flower::{CardMark, FlowerCard, KernelTc, Lowering, Running, Stacks};
use aorta_placement::{Capabilities, Rule, Step};
use tracing::warn;

use crate::config::OffloadMode;
use crate::errors;
use crate::reconcile::{
    Adopted, Card, CardError, CardPort, CardSpec, Cards, Counted, Language, Looked, Metered,
    Refusal,
};

use ebpf::Ebpf;
use flower::Flower;
use memory::DeviceMemory;

/// Rules of a card that doesn't say how many it holds; one that has no room for more refuses them.
const MAX_RULES: usize = 65_536;

/// The host's cards.
#[derive(Debug)]
pub struct HostCards {
    memory: Arc<Mutex<DeviceMemory>>,
    /// By which rules are known as this switch's.
    mark: CardMark,
    /// What distinguishes this switch from others of the host.
    instance: String,
    prober: Prober,
    /// What programs of devices may be.
    limits: BTreeMap<IfIndex, CardLimits>,
}

impl HostCards {
    /// For the switch that serves a rundir.
    pub fn open(rundir: &Path, instance: &str) -> HostCards {
        HostCards {
            memory: Arc::new(Mutex::new(DeviceMemory::open(rundir))),
            mark: CardMark::new(instance),
            instance: instance.to_owned(),
            prober: Prober::default(),
            limits: BTreeMap::new(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, DeviceMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether a port's device takes programs.
    fn ask(&mut self, port: &CardPort, card: &FoundCard, looked: &mut Looked) {
        let driver = card.driver.as_deref().unwrap_or_default();
        match self.prober.ask(driver, port.ifindex.get()) {
            Probed::Takes(limits) => {
                self.limits.insert(port.ifindex, limits.clone());
                looked.cards.push(CardSpec {
                    name: port.name.to_string(),
                    language: Language::Ebpf,
                    ports: [(port.ofport, (port.name.clone(), port.ifindex))].into(),
                    capabilities: limits.capabilities(),
                });
            }
            Probed::Refuses(why) => drop(looked.without.insert(port.name.clone(), why.clone())),
        }
    }

    fn card(
        &self,
        bridge: Option<&BridgeName>,
        language: Language,
        ports: BTreeMap<OfPort, IfIndex>,
    ) -> Result<Box<dyn Card>, CardError> {
        match language {
            Language::Flower => Ok(Box::new(self.flower(bridge, ports)?)),
            Language::Ebpf => {
                let port = ports.into_iter().next();
                let (port, device) = port.ok_or_else(|| CardError("it has no port".to_owned()))?;
                let limits = self.limits.get(&device).cloned();
                Ok(Box::new(Ebpf::new(
                    port,
                    device,
                    limits.unwrap_or_default(),
                )))
            }
        }
    }

    fn flower(
        &self,
        bridge: Option<&BridgeName>,
        ports: BTreeMap<OfPort, IfIndex>,
    ) -> Result<Flower<KernelTc>, CardError> {
        let socket = KernelTc::open().map_err(|error| CardError(errors::line(&error)))?;
        let lowering = Lowering {
            ports,
            running: Running::InHardware,
            stacks: Stacks::default(),
            meters_of: format!("{} {bridge:?}", self.instance),
        };
        Ok(Flower(FlowerCard::new(socket, lowering, self.mark)))
    }
}

/// How the card of a port is to be programmed.
///
/// # Errors
/// Why it can't be.
fn language(mode: OffloadMode, card: &FoundCard) -> Result<Language, String> {
    // A card that is no switch sends nothing from port to port by filters.
    let ebpf_first = card.switch_id.is_none() && card.ebpf.is_ok();
    match mode {
        OffloadMode::Off => Err("other_config:aorta-offload is off".to_owned()),
        OffloadMode::Flower => card.flower.clone().map(|()| Language::Flower),
        OffloadMode::Ebpf => card.ebpf.clone().map(|()| Language::Ebpf),
        OffloadMode::Auto if ebpf_first => Ok(Language::Ebpf),
        OffloadMode::Auto => match (&card.flower, &card.ebpf) {
            (Ok(()), _) => Ok(Language::Flower),
            (_, Ok(())) => Ok(Language::Ebpf),
            (Err(flower), Err(ebpf)) => Err(format!("{flower}; {ebpf}")),
        },
    }
}

impl Cards for HostCards {
    type Card = HostCard;

    fn look(&mut self, _: &BridgeName, ports: &[CardPort]) -> Looked {
        let mut looked = Looked::default();
        let found = discover::cards(ports.iter().map(|port| port.name.as_str()));
        for (name, why) in found.without {
            looked.without.insert(name.as_str().into(), why);
        }
        for card in found.cards {
            let is_of_card = |port: &&CardPort| {
                let mut own = card.ports.iter();
                own.any(|own| own.name == port.name.as_str())
            };
            let mut switch = BTreeMap::new();
            for port in ports.iter().filter(is_of_card) {
                match language(port.mode, &card) {
                    Ok(Language::Flower) => {
                        switch.insert(port.ofport, (port.name.clone(), port.ifindex));
                    }
                    Ok(Language::Ebpf) => self.ask(port, &card, &mut looked),
                    Err(why) => drop(looked.without.insert(port.name.clone(), why)),
                }
            }
            if !switch.is_empty() {
                looked.cards.push(CardSpec {
                    name: card.name,
                    language: Language::Flower,
                    ports: switch,
                    capabilities: Capabilities::flower(MAX_RULES),
                });
            }
        }
        looked
    }

    fn open(&mut self, bridge: &BridgeName, spec: &CardSpec) -> Result<HostCard, CardError> {
        let devices: Vec<IfIndex> = spec.ports.values().map(|(_, index)| *index).collect();
        let ports = spec.ports.iter();
        let ports = ports.map(|(port, (_, index))| (*port, *index)).collect();
        let card = self.card(Some(bridge), spec.language, ports)?;
        // Remembered first: better one device too many looked at than one that keeps its rules.
        remember(&self.memory, &devices, spec.language)?;
        Ok(HostCard {
            card,
            language: spec.language,
            devices,
            memory: Arc::clone(&self.memory),
        })
    }

    fn forget(&mut self) {
        self.prober = Prober::default();
    }

    fn sweep(&mut self, kept: &[IfIndex]) -> Vec<String> {
        let known = self.memory().devices().clone();
        let mut left = Vec::new();
        for (device, language) in known
            .into_iter()
            .filter(|(device, _)| !kept.contains(device))
        {
            let ports = BTreeMap::from([(OfPort(1), device)]);
            let card = self.card(None, language, ports);
            match card.and_then(|mut card| card.clear()) {
                Ok(()) => forget(&self.memory, &[device]),
                Err(why) => left.push(format!("device {device} may keep rules: {why}")),
            }
        }
        left
    }
}

fn remember(
    memory: &Mutex<DeviceMemory>,
    devices: &[IfIndex],
    language: Language,
) -> Result<(), CardError> {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    let remembered = memory.add(devices.iter().copied(), language);
    remembered.map_err(|error| CardError(format!("what is done can't be noted: {error}")))
}

fn forget(memory: &Mutex<DeviceMemory>, devices: &[IfIndex]) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = memory.remove(devices.iter().copied()) {
        warn!("the list of devices with rules can't be written: {error}");
    }
}

/// A card that is in use.
#[derive(Debug)]
pub struct HostCard {
    card: Box<dyn Card>,
    language: Language,
    devices: Vec<IfIndex>,
    memory: Arc<Mutex<DeviceMemory>>,
}

impl Card for HostCard {
    fn adopt(&mut self, rules: &[Rule]) -> Result<Adopted, CardError> {
        self.card.adopt(rules)
    }

    fn set_ports(&mut self, ports: &BTreeMap<OfPort, IfIndex>) -> Result<bool, CardError> {
        let devices: Vec<IfIndex> = ports.values().copied().collect();
        remember(&self.memory, &devices, self.language)?;
        let changed = self.card.set_ports(ports)?;
        if changed {
            let old = std::mem::replace(&mut self.devices, devices);
            let gone = old
                .into_iter()
                .filter(|device| !self.devices.contains(device));
            forget(&self.memory, &gone.collect::<Vec<_>>());
        }
        Ok(changed)
    }

    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        self.card.apply(steps)
    }

    fn counters(&mut self) -> Result<Counted, CardError> {
        self.card.counters()
    }

    fn ended(&mut self) -> Counted {
        self.card.ended()
    }

    fn meters(&self) -> BTreeMap<u32, Metered> {
        self.card.meters()
    }

    fn clear(&mut self) -> Result<(), CardError> {
        self.card.clear()?;
        forget(&self.memory, &self.devices);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(switch: bool, flower: bool, ebpf: bool) -> FoundCard {
        let able = |able: bool, why: &str| if able { Ok(()) } else { Err(why.to_owned()) };
        FoundCard {
            name: "card".into(),
            switch_id: switch.then(|| "aa".into()),
            driver: None,
            ports: vec![],
            flower: able(flower, "no flower"),
            ebpf: able(ebpf, "no eBPF"),
        }
    }

    #[test]
    fn how_cards_are_programmed() {
        use Language::{Ebpf, Flower};
        use OffloadMode as M;
        for (mode, found, expected) in [
            (M::Auto, (true, true, true), Ok(Flower)),
            (M::Auto, (false, true, true), Ok(Ebpf)),
            (M::Auto, (false, true, false), Ok(Flower)),
            (M::Auto, (true, false, true), Ok(Ebpf)),
            (M::Auto, (true, false, false), Err("no flower; no eBPF")),
            (M::Flower, (false, true, true), Ok(Flower)),
            (M::Flower, (true, false, true), Err("no flower")),
            (M::Ebpf, (true, true, true), Ok(Ebpf)),
            (M::Ebpf, (true, true, false), Err("no eBPF")),
        ] {
            let (switch, flower, ebpf) = found;
            let told = language(mode, &card(switch, flower, ebpf));
            assert_eq!(told, expected.map_err(str::to_owned), "{mode:?} {found:?}");
        }
    }
}
