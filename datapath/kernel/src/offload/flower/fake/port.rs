//! A port of a card in memory.

use std::collections::BTreeMap;

use aorta_packet::Headers;
use rustix::io::Errno;

use super::buckets::Buckets;
use super::change::change;
use super::read::Frame;
use super::{Decided, refusal};
use crate::offload::flower::{Filter, FilterCounters, Place, Refusal, TcAction};

/// Chains that a packet passes at most.
const MAX_CHAINS: usize = 256;

/// A port of a card.
#[derive(Default)]
pub struct Port {
    /// Whether it has the discipline on which filters hang.
    pub clsact: bool,
    /// Whether somebody else uses its egress.
    pub egress_in_use: bool,
    /// By chain, preference and number.
    pub filters: BTreeMap<(u32, u16, u32), Kept>,
}

/// A filter that is there.
pub struct Kept {
    pub what: What,
    pub counters: FilterCounters,
}

/// Whose it is.
pub enum What {
    Flower(Filter),
    Foreign(String),
}

impl Port {
    /// What becomes of a frame that comes in.
    pub fn receive(&mut self, frame: &[u8], buckets: &mut Buckets) -> Decided {
        let mut frame = frame.to_vec();
        let mut sent = Vec::new();
        let mut chain = 0;
        for _ in 0..MAX_CHAINS {
            let software = match chain {
                0 => Decided::Software,
                _ => Decided::SoftwareMidway,
            };
            let Some(actions) = self.look_up(chain, &frame) else {
                return software;
            };
            let mut goto = None;
            for action in actions {
                match action {
                    TcAction::Trap | TcAction::Pass => return software,
                    TcAction::Drop => break,
                    TcAction::Police(police) => {
                        if !buckets.pass(police, &frame) {
                            break;
                        }
                    }
                    TcAction::Redirect(to) => {
                        sent.push((to, frame.clone()));
                        break;
                    }
                    TcAction::Mirror(to) => sent.push((to, frame.clone())),
                    TcAction::Goto(to) => {
                        goto = Some(to);
                        break;
                    }
                    action => change(&mut frame, &action),
                }
            }
            match goto {
                Some(to) => chain = to,
                None => return Decided::Sent(sent),
            }
        }
        Decided::Sent(sent)
    }

    /// What the first filter of a chain does that a frame matches.
    fn look_up(&mut self, chain: u32, bytes: &[u8]) -> Option<Vec<TcAction>> {
        let headers = Headers::parse(bytes).ok()?;
        let frame = Frame::new(&headers, bytes);
        let of_chain = self
            .filters
            .range_mut((chain, 0, 0)..=(chain, u16::MAX, u32::MAX));
        for (_, kept) in of_chain {
            let What::Flower(filter) = &kept.what else {
                continue;
            };
            if frame.matches(&filter.keys) {
                kept.counters.packets += 1;
                kept.counters.bytes += bytes.len() as u64;
                return Some(filter.actions.clone());
            }
        }
        None
    }
}

impl Port {
    /// Takes a filter, or another in its place.
    pub fn put(&mut self, filter: &Filter, full: bool) -> Result<(), Refusal> {
        if !self.clsact {
            return Err(refusal(Errno::INVAL, "Parent Qdisc doesn't exists"));
        }
        let Place {
            chain,
            pref,
            handle,
            ..
        } = filter.place;
        let mut others = self
            .filters
            .range((chain, pref, 0)..=(chain, pref, u32::MAX));
        let same = |((.., other), kept): (&(u32, u16, u32), &Kept)| match &kept.what {
            What::Flower(there) => *other != handle && there.keys == filter.keys,
            // Another kind, or another protocol.
            What::Foreign(_) => true,
        };
        if others.any(same) {
            return Err(refusal(Errno::EXIST, "Filter already exists"));
        }
        let place = (chain, pref, handle);
        if full && !self.filters.contains_key(&place) {
            return Err(refusal(Errno::NOSPC, "the card's table is full"));
        }
        let kept = Kept {
            what: What::Flower(filter.clone()),
            counters: FilterCounters::default(),
        };
        self.filters.insert(place, kept);
        Ok(())
    }
}
