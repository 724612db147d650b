//! OpenFlow port numbers: `ofport_request` first, else the number that a port already has, else
//! the lowest free one. A port keeps its number for as long as it is configured, also while its
//! device is away.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aorta_flow::{OfPort, PortName};

/// One port that needs a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// Its name.
    pub name: PortName,
    /// Whether it is the bridge's own port.
    pub local: bool,
    /// Interface.ofport_request.
    pub request: Option<i64>,
    /// Interface.ofport as stored, for a port that wasn't numbered in this run.
    pub stored: Option<i64>,
}

/// The numbers of one bridge's ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfPorts {
    by_port: HashMap<PortName, OfPort>,
}

impl OfPorts {
    /// Numbers the ports of a bridge, given the numbers so far. A port that finds no free number
    /// is missing from the answer.
    pub fn assign(&self, applicants: &[Applicant]) -> OfPorts {
        let mut taken = BTreeSet::new();
        let mut given = HashMap::new();
        let mut give = |port: &Applicant, number: Option<OfPort>| -> bool {
            let Some(number) = number else { return false };
            let free = taken.insert(number);
            if free {
                given.insert(port.name.clone(), number);
            }
            free
        };
        let mut asking = Vec::new();
        let mut rest = Vec::new();
        for port in applicants {
            let request = port.request.and_then(ordinary);
            let held = self.held(port);
            if port.local {
                give(port, Some(OfPort::LOCAL));
            } else if request.is_some() && request != held {
                asking.push((port, request, held));
            } else if !give(port, held) {
                rest.push(port);
            }
        }
        for (port, request, held) in asking {
            if !give(port, request) && !give(port, held) {
                rest.push(port);
            }
        }
        let mut next = 1;
        for port in rest {
            while next <= OfPort::MAX.0 && !give(port, Some(OfPort(next))) {
                next += 1;
            }
        }
        OfPorts { by_port: given }
    }

    fn held(&self, port: &Applicant) -> Option<OfPort> {
        let known = self
            .by_port
            .get(&port.name)
            .copied()
            .filter(|n| *n != OfPort::LOCAL);
        known.or_else(|| port.stored.and_then(ordinary))
    }

    /// The number of a port.
    pub fn get(&self, port: &PortName) -> Option<OfPort> {
        self.by_port.get(port).copied()
    }
}

/// The numbers of all bridges.
pub type AllOfPorts = BTreeMap<aorta_flow::BridgeName, OfPorts>;

/// A number that an ordinary port may have.
fn ordinary(number: i64) -> Option<OfPort> {
    let number = u16::try_from(number).ok().map(OfPort)?;
    (number.0 >= 1 && number <= OfPort::MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, request: Option<i64>, stored: Option<i64>) -> Applicant {
        Applicant {
            name: name.into(),
            local: name == "br0",
            request,
            stored,
        }
    }

    fn numbers(before: &OfPorts, ports: &[Applicant]) -> Vec<(String, u16)> {
        let after = before.assign(ports);
        let number = |p: &Applicant| Some((p.name.to_string(), after.get(&p.name)?.0));
        ports.iter().filter_map(number).collect()
    }

    fn owned(pairs: &[(&str, u16)]) -> Vec<(String, u16)> {
        pairs.iter().map(|(n, p)| ((*n).to_owned(), *p)).collect()
    }

    #[test]
    fn lowest_free_number_local_apart() {
        let ports = [
            port("a", None, None),
            port("br0", None, None),
            port("c", None, None),
        ];
        let wanted = owned(&[("a", 1), ("br0", 65534), ("c", 2)]);
        assert_eq!(numbers(&OfPorts::default(), &ports), wanted);
    }

    #[test]
    fn stored_numbers_survive_a_restart_and_clashes_are_solved() {
        let ports = [
            port("a", None, Some(7)),
            port("b", None, Some(7)),
            port("c", None, Some(-1)),
        ];
        assert_eq!(
            numbers(&OfPorts::default(), &ports),
            owned(&[("a", 7), ("b", 1), ("c", 2)])
        );
    }

    #[test]
    fn a_number_is_kept_while_the_device_is_away() {
        let before = OfPorts::default().assign(&[port("a", None, None), port("b", None, None)]);
        // -1 was written for b meanwhile, and a is gone.
        assert_eq!(
            numbers(&before, &[port("b", None, Some(-1))]),
            owned(&[("b", 2)])
        );
    }

    #[test]
    fn requests() {
        // Granted, also when it means a swap.
        let before = OfPorts::default().assign(&[port("a", None, None), port("b", None, None)]);
        let swap = [port("a", Some(2), None), port("b", Some(1), None)];
        assert_eq!(numbers(&before, &swap), owned(&[("a", 2), ("b", 1)]));
        // Not taken from a port that has the number and didn't ask to leave it.
        let late = [port("a", None, None), port("b", Some(1), None)];
        assert_eq!(numbers(&before, &late), owned(&[("a", 1), ("b", 2)]));
        // One that isn't an ordinary number is ignored.
        let odd = [port("a", Some(65534), None), port("b", Some(0), None)];
        assert_eq!(numbers(&before, &odd), owned(&[("a", 1), ("b", 2)]));
        // Two new ports want the same.
        let both = [port("x", Some(9), None), port("y", Some(9), None)];
        assert_eq!(
            numbers(&OfPorts::default(), &both),
            owned(&[("x", 9), ("y", 1)])
        );
    }
}
