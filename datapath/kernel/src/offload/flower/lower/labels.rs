//! Changes of MPLS labels.

use aorta_flow::field::FieldId;

use crate::offload::flower::{MplsChange, MplsLabel, Refusal, TcAction};

/// Changes of labels that are still to be told.
#[derive(Default)]
pub struct Labels {
    /// Type of a label that is pushed.
    pushed: Option<u16>,
    change: MplsChange,
}

impl Labels {
    /// A label is pushed; what it says is set then.
    pub fn push(&mut self, ethertype: u16) {
        self.pushed = Some(ethertype);
    }

    /// Changes a field of the outermost label.
    ///
    /// # Errors
    /// When TC has no way to.
    pub fn set(&mut self, home: FieldId, value: u128, mask: u128) -> Result<(), Refusal> {
        if mask != home.field().full_mask() {
            return Err(Refusal::unsupported(format!(
                "TC can't change single bits of {home}"
            )));
        }
        match home {
            FieldId::MPLS_LABEL => self.change.label = Some(value as u32),
            FieldId::MPLS_TC => self.change.class = Some(value as u8),
            // 0 is what TC calls no change.
            _ if value == 0 => return Err(Refusal::unsupported("TC sets no mpls_ttl of 0")),
            _ => self.change.ttl = Some(value as u8),
        }
        Ok(())
    }

    /// The action that makes the changes, which aren't to be told any more then.
    ///
    /// # Errors
    /// When a label is pushed of which something isn't known.
    pub fn take(&mut self) -> Result<Option<TcAction>, Refusal> {
        let Labels { pushed, change } = std::mem::take(self);
        let Some(ethertype) = pushed else {
            let changes = change != MplsChange::default();
            return Ok(changes.then_some(TcAction::MplsModify(change)));
        };
        let (Some(label), Some(class), Some(ttl)) = (change.label, change.class, change.ttl) else {
            return Err(Refusal::unsupported(
                "an MPLS label is pushed without saying all of it",
            ));
        };
        let label = MplsLabel { label, class, ttl };
        Ok(Some(TcAction::MplsPush { ethertype, label }))
    }
}
