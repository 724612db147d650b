//! The machine's clock.

use rustix::time::{ClockId, clock_gettime};

use crate::ofproto::Moment;

/// Now.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    Moment(seconds * 1000 + nanos / 1_000_000)
}
