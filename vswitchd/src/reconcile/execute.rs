//! Executing plans until nothing is left to do.

use tracing::{info, warn};

use super::{Actual, Effect, Effects, plan};
use crate::config::Desired;

/// Rounds after which the rest waits for the next event: each round's effects can show the need
/// of others (a device that was made, an MTU to follow), but not for ever.
const MAX_ROUNDS: usize = 5;

/// Changes devices until they are as wanted. What fails is remembered in `actual` and not tried
/// again before something changes.
pub async fn settle(desired: &Desired, actual: &mut Actual, effects: &mut impl Effects) {
    for _ in 0..MAX_ROUNDS {
        let plan = plan(desired, actual);
        actual.followed_mtu = plan.followed_mtu;
        if plan.effects.is_empty() {
            return;
        }
        for effect in plan.effects {
            match effects.run(&effect).await {
                Ok(events) => {
                    info!("{effect}");
                    remember(&effect, actual);
                    for event in events {
                        actual.take(event);
                    }
                }
                Err(error) => {
                    let why = error.line();
                    warn!("{why}");
                    actual.failed.insert(effect, why);
                }
            }
        }
    }
}

fn remember(effect: &Effect, actual: &mut Actual) {
    match effect {
        Effect::BeginPromisc(device) => {
            actual.promisc.insert(device.name.clone());
        }
        Effect::EndPromisc(name, _) => {
            actual.promisc.remove(name);
        }
        Effect::MakeDummy(name, dummy) => {
            actual.dummies.insert(name.clone(), dummy.clone());
        }
        Effect::Shape(device, shaping) => {
            shaping.remember(device.ifindex, &mut actual.qdiscs);
        }
        Effect::DropDummy(name) => {
            actual.dummies.remove(name);
        }
        _ => {}
    }
}
