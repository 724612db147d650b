//! What a flow does with a packet.

mod learn;
mod packet;
mod select;

pub use learn::{Learn, LearnSpec};
pub use packet::{
    Controller, Ct, CtZone, Nat, NatDirection, PacketInReason, Sample, SampleDirection,
};
pub use select::{Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};

use crate::field::FieldId;
use crate::{OfPort, Subfield};

/// One step of what a flow does with a packet. Names in brackets are those of the text form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Sends a copy to a port (`output`).
    Output(OfPort),
    /// Sends a copy that is cut (`output(port,max_len)`).
    OutputTruncated {
        /// Where to.
        port: OfPort,
        /// Bytes that are left at most.
        max_len_bytes: u32,
    },
    /// Sends a copy to the port whose number is in a field (`output:reg0[]`).
    OutputField(Subfield),
    /// Sends a copy to controllers (`controller`).
    Controller(Box<Controller>),
    /// Sends a copy to a port by way of a queue (`enqueue`).
    Enqueue {
        /// Where to.
        port: OfPort,
        /// Queue of the port.
        queue: u32,
    },
    /// Goes on in a group (`group`).
    Group(u32),
    /// Is measured, and dropped if there is too much (`meter`).
    Meter(u32),
    /// Changes a field's bits under a mask (`set_field`).
    SetField {
        /// Which.
        field: FieldId,
        /// New value; bits outside of the mask are 0.
        value: u128,
        /// Bits that change; [`Field::wire_mask`](crate::field::Field::wire_mask) for all.
        mask: u128,
    },
    /// Changes a subfield (`load`).
    Load {
        /// Which.
        to: Subfield,
        /// New value.
        value: u64,
    },
    /// Changes a header field by one of the older names (`mod_dl_src` and the like).
    Modify {
        /// Which.
        field: FieldId,
        /// New value.
        value: u128,
    },
    /// Copies bits (`move`).
    Move {
        /// From.
        from: Subfield,
        /// To; as many bits.
        to: Subfield,
    },
    /// Puts bits on the stack (`push`).
    Push(Subfield),
    /// Takes bits from the stack (`pop`).
    Pop(Subfield),
    /// Sets the outer VLAN (`set_vlan_vid`, `mod_vlan_vid`).
    SetVlanVid {
        /// VLAN.
        vid: u16,
        /// Pushes a tag if there is none (`mod_vlan_vid`).
        push: bool,
    },
    /// Sets the priority of the outer tag (`set_vlan_pcp`, `mod_vlan_pcp`).
    SetVlanPcp {
        /// Priority, 0 to 7.
        pcp: u8,
        /// Pushes a tag if there is none (`mod_vlan_pcp`).
        push: bool,
    },
    /// Adds a tag with the given protocol identifier (`push_vlan`).
    PushVlan(u16),
    /// Removes the outer tag (`pop_vlan`).
    PopVlan,
    /// The same by its name in OpenFlow 1.0 (`strip_vlan`).
    StripVlan,
    /// Adds an MPLS label with the given EtherType (`push_mpls`).
    PushMpls(u16),
    /// Removes the outer MPLS label; the EtherType of what is inside (`pop_mpls`).
    PopMpls(u16),
    /// Lowers the MPLS time to live, and drops at 0 (`dec_mpls_ttl`).
    DecMplsTtl,
    /// Lowers the IP time to live; at 1, tells the controllers of these numbers instead, or
    /// controller 0 if there is no list (`dec_ttl`, `dec_ttl()`, `dec_ttl(1,2)`).
    DecTtl(Option<Vec<u16>>),
    /// Sets the tunnel key (`set_tunnel`, `set_tunnel64`).
    SetTunnel {
        /// The key.
        id: u64,
        /// By the 64-bit name though 32 bits are enough.
        wide: bool,
    },
    /// Chooses a queue for outputs (`set_queue`).
    SetQueue(u32),
    /// Returns to the default queue (`pop_queue`).
    PopQueue,
    /// Looks up another table and comes back (`resubmit`).
    Resubmit {
        /// In port for the lookup, the packet's own if none.
        in_port: Option<OfPort>,
        /// Table, the current one if none.
        table: Option<u8>,
        /// With addresses of the original direction of the connection.
        ct: bool,
    },
    /// Adds, changes or deletes a flow made of the packet (`learn`).
    Learn(Box<Learn>),
    /// Is a clause of a conjunction (`conjunction`).
    Conjunction {
        /// The conjunction.
        id: u32,
        /// Which clause, from 1.
        clause: u8,
        /// How many clauses there are.
        n_clauses: u8,
    },
    /// Chooses a link by a hash (`multipath`).
    Multipath(Box<Multipath>),
    /// Chooses a port by a hash or by what is up (`bundle`, `bundle_load`).
    Bundle(Box<Bundle>),
    /// Bytes without effect (`note`).
    Note(Vec<u8>),
    /// Ends the pipeline (`exit`).
    Exit,
    /// Shortens timeouts when the connection ends (`fin_timeout`).
    FinTimeout {
        /// New idle timeout.
        idle_timeout_s: u16,
        /// New hard timeout.
        hard_timeout_s: u16,
    },
    /// Sends a sample of the packets to collectors (`sample`).
    Sample(Box<Sample>),
    /// Sends the packet through connection tracking (`ct`).
    Ct(Box<Ct>),
    /// Forgets what connection tracking found (`ct_clear`).
    CtClear,
    /// Does these with a copy, changes included (`clone`).
    Clone(Vec<Action>),
    /// Tells whether the packet is larger than a size (`check_pkt_larger`).
    CheckPktLarger {
        /// Size to compare with.
        len_bytes: u16,
        /// One bit for the answer.
        to: Subfield,
    },
    /// Removes a tunnel option (`delete_field`).
    DeleteField(FieldId),
    /// Lowers the time to live of a network service header (`dec_nsh_ttl`).
    DecNshTtl,
    /// Sends the packet around once more, for tests (`debug_recirc`).
    DebugRecirc,
    /// Sends the packet through user space, for tests (`debug_slow`).
    DebugSlow,
}

/// What a flow does, as OpenFlow 1.1 and later order it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Instructions {
    /// At once, in order.
    pub apply: Vec<Action>,
    /// Empties the action set (`clear_actions`).
    pub clear_actions: bool,
    /// Into the action set (`write_actions`).
    pub write_actions: Vec<Action>,
    /// Value and mask for the metadata (`write_metadata`).
    pub write_metadata: Option<(u64, u64)>,
    /// Goes on in a later table (`goto_table`).
    pub goto_table: Option<u8>,
}

impl Instructions {
    /// Actions that are done at once, and nothing else.
    pub fn apply(actions: Vec<Action>) -> Instructions {
        Instructions {
            apply: actions,
            ..Instructions::default()
        }
    }

    /// Whether the packet goes nowhere.
    pub fn is_drop(&self) -> bool {
        *self == Instructions::default()
    }

    /// The first that `wanted` finds something in, of all actions, those inside of others included.
    pub fn find_action<'a, T>(
        &'a self,
        wanted: &mut dyn FnMut(&'a Action) -> Option<T>,
    ) -> Option<T> {
        find(&self.apply, wanted).or_else(|| find(&self.write_actions, wanted))
    }

    /// All actions, those inside of others included.
    pub fn all_actions(&self) -> Vec<&Action> {
        let mut found = Vec::new();
        collect(&self.apply, &mut found);
        collect(&self.write_actions, &mut found);
        found
    }
}

fn find<'a, T>(
    actions: &'a [Action],
    wanted: &mut dyn FnMut(&'a Action) -> Option<T>,
) -> Option<T> {
    actions
        .iter()
        .find_map(|action| wanted(action).or_else(|| find(action.nested(), wanted)))
}

fn collect<'a>(actions: &'a [Action], found: &mut Vec<&'a Action>) {
    for action in actions {
        found.push(action);
        collect(action.nested(), found);
    }
}

impl Action {
    /// The actions inside of it.
    pub fn nested(&self) -> &[Action] {
        match self {
            Action::Clone(actions) => actions,
            Action::Ct(ct) => &ct.exec,
            _ => &[],
        }
    }

    /// Whether it sends to a port of this number.
    pub fn outputs_to(&self, port: OfPort) -> bool {
        match self {
            Action::Output(to)
            | Action::OutputTruncated { port: to, .. }
            | Action::Enqueue { port: to, .. } => *to == port,
            Action::Controller(_) => port == OfPort::CONTROLLER,
            _ => false,
        }
    }
}
