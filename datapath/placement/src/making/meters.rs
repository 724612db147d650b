//! Meters as cards have them.

use aorta_flow::action::Action;
use aorta_flow::meter::Rate;
use aorta_flow::{BandKind, Meter, MeterUnit};

use super::Maker;
use crate::{PolicedRate, Policer, Reason};

impl Maker<'_, '_> {
    /// What is over the rate isn't seen by anybody, so it must be known before the first copy.
    pub(super) fn meter(&mut self, id: u32) -> Result<(), Reason> {
        if !self.device.capabilities.meters {
            return Err(Reason::Action("meter"));
        }
        if self.outputs > 0 || self.bucket.is_some() {
            return Err(Reason::Action("a meter behind an output or in a group"));
        }
        if self.form.policer.is_some() {
            return Err(Reason::Action("a second meter"));
        }
        let meter = (self.refs.meter)(id).ok_or(Reason::Action("a meter that isn't there"))?;
        self.form.policer = Some(policer(id, meter)?);
        self.form.actions.push(Action::Meter(id));
        Ok(())
    }
}

fn policer(id: u32, meter: &Meter) -> Result<Policer, Reason> {
    let [band] = &meter.bands[..] else {
        return Err(Reason::Action("a meter of several bands"));
    };
    if band.kind != BandKind::Drop {
        return Err(Reason::Action("a meter that marks packets"));
    }
    let Rate { burst_ns, .. } = Rate::new(meter, band);
    if band.rate == 0 || burst_ns == 0 {
        return Err(Reason::Action("a meter that nothing passes"));
    }
    Ok(Policer {
        meter: id,
        rate: match meter.unit {
            MeterUnit::Pktps => PolicedRate::Packets(band.rate),
            MeterUnit::Kbps => PolicedRate::Kilobits(band.rate),
        },
        burst_ns,
    })
}
