//! A card in memory, for tests: it keeps filters, refuses what it is told to refuse, fails as cards
//! fail, and does with packets what its filters say.

mod buckets;
mod change;
mod port;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aorta_flow::IfIndex;
use rustix::io::Errno;

use self::buckets::Buckets;
use self::port::{Kept, Port, What};
use super::{
    Filter, FilterCounters, Key, Listed, OwnListed, Place, Refusal, Request, Side, TcAction,
    TcSocket,
};

/// What becomes of a frame that comes in at a port of the card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decided {
    /// It goes to software as it came.
    Software,
    /// It goes to software, from a later chain and changed perhaps: no rule that the switch makes
    /// leads there.
    SoftwareMidway,
    /// Copies leave, by these devices; without any it is dropped.
    Sent(Vec<(IfIndex, Vec<u8>)>),
}

/// A card in memory. Clones are the same card, so that a test has it beside the one who programs it.
#[derive(Clone, Default)]
pub struct FakeNic(Arc<Mutex<State>>);

/// What it can do, and what is on it.
#[derive(Default)]
struct State {
    ports: BTreeMap<IfIndex, Port>,
    buckets: Buckets,
    /// Keys that it lacks.
    lacks: BTreeSet<Key>,
    /// Filters that it holds, all ports together; none for as many as you like.
    max_filters: Option<usize>,
    /// How long it takes for a request.
    delay: Duration,
    /// Requests so far.
    asked: u64,
    /// Refusals of requests by their number.
    refusals: BTreeMap<u64, Refusal>,
    /// The request before which the exchange breaks, and all that follow.
    breaks_at: Option<u64>,
    /// Refusal of all filters.
    legacy: bool,
}

impl FakeNic {
    /// A card with these ports, that can do whatever flower can say.
    pub fn new(ports: impl IntoIterator<Item = IfIndex>) -> FakeNic {
        let nic = FakeNic::default();
        let ports = ports.into_iter().map(|port| (port, Port::default()));
        nic.state().ports = ports.collect();
        nic
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many packets still pass each of its buckets.
    pub fn leave_tokens(&self, packets: u64) {
        self.state().buckets.leave(packets);
    }

    /// It lacks these keys.
    pub fn lack(&self, keys: impl IntoIterator<Item = Key>) {
        self.state().lacks.extend(keys);
    }

    /// It has room for so many filters, guards included.
    pub fn limit(&self, max_filters: usize) {
        self.state().max_filters = Some(max_filters);
    }

    /// Each request takes so long.
    pub fn slow_down(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Requests that it has been asked so far.
    pub fn asked(&self) -> u64 {
        self.state().asked
    }

    /// It refuses the request that comes after so many others from now on.
    pub fn refuse_after(&self, others: u64, refusal: Refusal) {
        let mut state = self.state();
        let number = state.asked + others;
        state.refusals.insert(number, refusal);
    }

    /// The exchange breaks before the request that comes after so many others from now on, as it does
    /// for a switch that is killed. [`FakeNic::mend`] ends that.
    pub fn break_after(&self, others: u64) {
        let mut state = self.state();
        state.breaks_at = Some(state.asked + others);
    }

    /// Exchanges work again; nothing is refused that wasn't yet.
    pub fn mend(&self) {
        let mut state = self.state();
        state.breaks_at = None;
        state.refusals.clear();
        state.legacy = false;
    }

    /// It loses all filters, as by a reset.
    pub fn lose_tables(&self) {
        for port in self.state().ports.values_mut() {
            port.filters.clear();
        }
    }

    /// Its ports go.
    pub fn vanish(&self) {
        self.state().ports.clear();
    }

    /// A port goes.
    pub fn remove_port(&self, port: IfIndex) {
        self.state().ports.remove(&port);
    }

    /// A port comes, without filters.
    pub fn add_port(&self, port: IfIndex) {
        self.state().ports.insert(port, Port::default());
    }

    /// It changes to legacy mode: it loses its filters and takes none.
    pub fn change_to_legacy_mode(&self) {
        self.lose_tables();
        self.state().legacy = true;
    }

    /// Somebody else puts a filter on a port, and has the discipline made for it.
    pub fn put_foreign(&self, place: Place, kind: &str) {
        let mut state = self.state();
        let port = state.ports.entry(place.device).or_default();
        port.clsact = true;
        let kept = Kept {
            what: What::Foreign(kind.to_owned()),
            counters: FilterCounters::default(),
        };
        port.filters
            .insert((place.chain, place.pref, place.handle), kept);
    }

    /// Somebody else uses the egress of a port.
    pub fn use_egress(&self, port: IfIndex) {
        let mut state = self.state();
        let port = state.ports.entry(port).or_default();
        (port.clsact, port.egress_in_use) = (true, true);
    }

    /// All filters of the switch's.
    pub fn filters(&self) -> Vec<Filter> {
        let state = self.state();
        let kept = state.ports.values().flat_map(|port| port.filters.values());
        let flower = kept.filter_map(|kept| match &kept.what {
            What::Flower(filter) => Some(filter.clone()),
            What::Foreign(_) => None,
        });
        flower.collect()
    }

    /// Whether a port has the discipline on which filters hang.
    pub fn has_clsact(&self, port: IfIndex) -> bool {
        self.state()
            .ports
            .get(&port)
            .is_some_and(|port| port.clsact)
    }

    /// Has a frame come in at a port.
    pub fn receive(&self, from: IfIndex, frame: &[u8]) -> Decided {
        let State { ports, buckets, .. } = &mut *self.state();
        match ports.get_mut(&from) {
            Some(port) => port.receive(frame, buckets),
            None => Decided::Software,
        }
    }
}

impl State {
    fn port(&mut self, device: &IfIndex) -> Result<&mut Port, Refusal> {
        device_error(self.ports.get_mut(device), Errno::NODEV)
    }

    fn answer(&mut self, request: &Request) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusals.remove(&self.asked) {
            return Err(refusal);
        }
        let kept: usize = self.ports.values().map(|port| port.filters.len()).sum();
        let full = self.max_filters.is_some_and(|most| kept >= most);
        match request {
            Request::AddClsact(device) => match &mut self.port(device)?.clsact {
                true => Err(refusal(Errno::EXIST, "Exclusivity flag on, cannot modify")),
                clsact => {
                    *clsact = true;
                    Ok(())
                }
            },
            Request::DeleteClsact(device) => {
                let port = self.port(device)?;
                port.clsact = false;
                port.filters.clear();
                Ok(())
            }
            Request::Delete(place) => {
                let place_in = (place.chain, place.pref, place.handle);
                let removed = self.port(&place.device)?.filters.remove(&place_in);
                let known = device_error(removed, Errno::NOENT);
                known.map(drop)
            }
            Request::Put(filter) => {
                if self.legacy {
                    return Err(refusal(Errno::OPNOTSUPP, "the card is in legacy mode"));
                }
                let lacks = |part: &&super::KeyPart| self.lacks.contains(&part.key);
                if let Some(part) = filter.keys.parts().iter().find(lacks) {
                    let text = format!("the card lacks the key {:?}", part.key);
                    return Err(refusal(Errno::OPNOTSUPP, &text));
                }
                self.buckets.join(filter)?;
                self.port(&filter.place.device)?.put(filter, full)
            }
        }
    }

    /// What a filter has counted, and the bucket that it names.
    fn counters(&self, kept: &Kept) -> FilterCounters {
        let policed = match &kept.what {
            What::Flower(filter) => self.buckets.counted(filter),
            What::Foreign(_) => None,
        };
        FilterCounters {
            policed,
            ..kept.counters
        }
    }

    /// Buckets go with the last filter that names them.
    fn settle_buckets(&mut self) {
        if self.buckets.is_empty() {
            return;
        }
        let kept = self.ports.values().flat_map(|port| port.filters.values());
        let filters = kept.filter_map(|kept| match &kept.what {
            What::Flower(filter) => Some(filter),
            What::Foreign(_) => None,
        });
        self.buckets.retain(filters);
    }
}

fn device_error<T>(value: Option<T>, errno: Errno) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::new(errno.raw_os_error(), None))
}

fn refusal(errno: Errno, text: &str) -> Refusal {
    Refusal::new(errno.raw_os_error(), Some(text.to_owned()))
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

impl TcSocket for FakeNic {
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut state = self.state();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            if state.breaks_at.is_some_and(|at| state.asked >= at) {
                return Err(broken());
            }
            std::thread::sleep(state.delay);
            answers.push(state.answer(request));
            state.settle_buckets();
            state.asked += 1;
        }
        Ok(answers)
    }

    fn list(&mut self, device: IfIndex, side: Side) -> io::Result<Vec<Listed>> {
        let state = self.state();
        if state.breaks_at.is_some_and(|at| state.asked >= at) {
            return Err(broken());
        }
        let Some(port) = state.ports.get(&device) else {
            return Ok(Vec::new());
        };
        let listed = |((chain, pref, handle), kept): (&(u32, u16, u32), &Kept)| Listed {
            place: Place {
                device,
                chain: *chain,
                pref: *pref,
                handle: *handle,
            },
            kind: match &kept.what {
                What::Flower(_) => "flower".to_owned(),
                What::Foreign(kind) => kind.clone(),
            },
            own: match &kept.what {
                What::Flower(filter) => Some(OwnListed {
                    cookie: filter.cookie,
                    counters: state.counters(kept),
                    decides: !matches!(filter.actions[..], [TcAction::Trap | TcAction::Pass]),
                    in_hardware: true,
                }),
                What::Foreign(_) => None,
            },
        };
        match side {
            Side::Ingress => Ok(port.filters.iter().map(listed).collect()),
            Side::Egress if port.egress_in_use => {
                let place = Place {
                    device,
                    chain: 0,
                    pref: 1,
                    handle: 1,
                };
                let (kind, own) = ("bpf".to_owned(), None);
                Ok(vec![Listed { place, kind, own }])
            }
            Side::Egress => Ok(Vec::new()),
        }
    }

    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>> {
        let state = self.state();
        let read = |place: &Place| {
            let port = state.ports.get(&place.device)?;
            let kept = port.filters.get(&(place.chain, place.pref, place.handle))?;
            Some(state.counters(kept))
        };
        Ok(places.iter().map(read).collect())
    }
}
