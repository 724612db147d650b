//! Memory that large requests leave behind.

use std::thread;
use std::time::Duration;

use tracing::debug;

/// Requests of fewer flows leave too little behind to look for it.
const MANY: usize = 10_000;

/// By then, who asked has the answer, and what was read for it is free.
const SOON: Duration = Duration::from_secs(1);

/// What a request of so many flows took can go back to the system: beside everything else.
pub fn after_request_of(flows: usize) {
    if flows < MANY {
        return;
    }
    let thread = thread::Builder::new().name("give-back".to_owned());
    let later = || {
        thread::sleep(SOON);
        aorta_kernel::give_back_heap();
    };
    if let Err(error) = thread.spawn(later) {
        debug!("memory of {flows} flows is not given back: {error}");
    }
}
