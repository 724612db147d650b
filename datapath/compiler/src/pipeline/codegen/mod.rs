//! From a plan to a program.
//!
//! Registers, at the head of every table, place and block: R6 is the context, R7 the state; in the
//! actions of a flow whose constants are in a record, R8 points to it. All else lives in the state,
//! so that the verifier finds each head in one state only, and is done when it has seen all code
//! once. What a path can come back to begins with `may_goto`.

mod action_set;
mod bits;
pub mod card;
mod choose;
mod copies;
mod count;
pub mod cut;
mod frames;
mod front;
mod groups;
pub mod hook;
mod in_frame;
mod labels;
mod leaving;
mod measure;
pub mod other;
mod output;
mod parse;
mod pause;
mod prereq;
mod queues;
mod root_front;
pub mod site;
mod steps;
pub mod straight;
mod table;
mod tree;
pub mod upcalls;
pub mod xdp;
mod xdp_front;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aorta_ebpf::{Assembler, Cond, Label, Program, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{DropReason, MeterId};

use super::extras::GroupKey;
use super::layout::{self, state};
use super::maps::{STATE, VERSION, ports};
use super::plan::Plan;
use super::shape::Step;
use super::{Hook, PipelineError, commit};
use crate::emit::lookup_index;
use crate::{ENTRY_PREFIX, flow_entry};
use site::Site;
use straight::{PortEntry, PortForm};

pub use copies::HEADER_BYTES as SAVE_HEADER_BYTES;

use Reg::{R0, R1, R6, R7};

/// Stack frame: u32 key of an array, in 8 bytes.
pub const INDEX: i16 = -8;

/// Code that several places jump to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Block {
    /// The end of a list of actions.
    Return,
    /// Nothing is left to be done, but perhaps the action set.
    End,
    /// Nothing is left to be done: what is pending leaves.
    Finish,
    /// What is pending leaves as a copy, the bytes follow the key, and what is at
    /// [`state::NEXT`] becomes pending.
    Sync,
    /// Sends to all ports but the one that the packet came from.
    AllPorts,
    /// Sends to those of them that are flooded.
    FloodPorts,
    /// Sets a copy aside.
    Save,
    /// Takes back the copy that was set aside last.
    Restore,
    /// Sets the packet aside for a bucket.
    SaveBucket,
    /// Takes it back.
    RestoreBucket,
    /// Sends a copy to the daemon.
    Upcall,
    /// Sends a copy that is cut.
    SendCut,
    /// Adds an MPLS label.
    PushLabel,
    /// Removes an MPLS label.
    PopLabel,
    /// Has the bytes follow the key, but without VLAN tags.
    BareFrame,
    /// Reads the fields anew.
    ReadAgain,
    /// Undoes what a copy did with labels.
    UndoLabels,
    /// Does the action set.
    ActionSet,
    /// Ends the action set early.
    ActionSetOver,
    /// Ends everything, without the action set.
    Exit,
    /// Ends the copy or bucket that is being worked on.
    DropPacket,
    /// Gives the packet up: too many visits.
    TooDeep,
    /// The kernel refused something.
    Failed,
    /// Shorter than an Ethernet header.
    Malformed,
    /// Ends without a word.
    Lost,
    /// Leaves the packet to the other hook.
    Pass,
    /// The packet leaves by a port, and nothing follows.
    Leave,
    /// The packet goes nowhere, for the reason in R8.
    Dropped,
}

/// Emits a bridge's program.
pub struct Gen<'p> {
    /// What is emitted.
    pub a: Assembler,
    /// What for.
    pub plan: &'p Plan,
    /// Where the program hangs.
    pub hook: Hook,
    /// The only port that it is for, if there is one.
    port: Option<PortForm<'p>>,
    /// The only version of the tables for which it is, if there is one: then those in memory that
    /// have few rules are code, too.
    fixed: Option<u32>,
    /// What it is for a card, if it is for one.
    card: Option<&'p card::CardForm>,
    /// Where the state is, in programs for cards.
    stack: card::Stack,
    /// Where that port's program goes when its epoch is over.
    superseded: Option<Label>,
    /// What can be changed in packets' bytes.
    pub changes: &'p commit::Changes,
    heads: BTreeMap<u8, Label>,
    blocks: BTreeMap<Block, (Label, bool)>,
    places: Vec<Label>,
    dispatch: Option<Label>,
    /// Ends of lists that are jumped to.
    ends: HashSet<Label>,
    /// Groups that are called, and whether they are emitted.
    groups: BTreeMap<GroupKey, (Label, bool)>,
    /// The same of meters.
    meters: BTreeMap<MeterId, (Label, bool)>,
    /// Code of action sets, to be emitted behind the flow that writes it.
    deferred: Vec<(Label, Vec<Step>, Site)>,
    sizes: BTreeMap<u8, usize>,
    parse_insns: usize,
    /// Something is sent by NORMAL.
    normal: bool,
    /// Where the fields are read.
    parse_again: Option<Label>,
    /// Where notes are come back to, if packets may wait for controllers.
    note: Option<Label>,
    /// Resubmits of the flow that is emitted, so far.
    resubmits: u16,
}

/// A program and what its parts take.
pub struct Generated {
    /// The program.
    pub program: Program,
    /// Instructions of each table.
    pub tables: BTreeMap<u8, usize>,
    /// Instructions that parse.
    pub parse_insns: usize,
    /// Fields that are parsed.
    pub fields: BTreeSet<FieldId>,
}

/// Emits the program of a plan for a hook.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn generate(plan: &Plan, hook: Hook) -> Result<Generated, PipelineError> {
    generate_for(plan, hook, (None, None))
}

/// Emits the program of a plan at tcx for one version of the tables, with those of few rules as code.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn generate_fixed(plan: &Plan, version: u32) -> Result<Program, PipelineError> {
    Ok(generate_for(plan, Hook::Tc, (None, Some(version)))?.program)
}

/// Emits the program of a plan that [`straight::takes`], for one port, and if `fixed` says so for one
/// version of the tables.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn generate_port(
    plan: &Plan,
    port: PortForm<'_>,
    fixed: Option<u32>,
) -> Result<Program, PipelineError> {
    let hook = match port.entry {
        PortEntry::Tc(_) => Hook::Tc,
        PortEntry::Xdp(_) => Hook::Xdp,
    };
    Ok(generate_for(plan, hook, (Some(port), fixed))?.program)
}

fn generate_for(
    plan: &Plan,
    hook: Hook,
    (port, fixed): (Option<PortForm<'_>>, Option<u32>),
) -> Result<Generated, PipelineError> {
    let in_xdp = plan.changes.in_xdp();
    let changes = match hook {
        Hook::Tc => &plan.changes,
        Hook::Xdp => &in_xdp,
    };
    let whole = hook == Hook::Tc && port.is_none() && fixed.is_none();
    let code = emit(plan, (hook, port, fixed), changes);
    let fields = code.parsed_fields();
    let (tables, parse_insns) = (code.sizes, code.parse_insns);
    let finished = match whole {
        true => code.a.finish(),
        // Behind flows that are left to others, or that no packet finds, there may be nothing.
        false => code.a.finish_reachable(),
    };
    let program = finished.map_err(|source| PipelineError::Assemble {
        bridge: plan.config.bridge.clone(),
        source: Box::new(source),
    })?;
    Ok(Generated {
        program,
        tables,
        parse_insns,
        fields,
    })
}

/// Emits all code.
fn emit<'p>(
    plan: &'p Plan,
    (hook, port, fixed): (Hook, Option<PortForm<'p>>, Option<u32>),
    changes: &'p commit::Changes,
) -> Gen<'p> {
    let bridge = plan.config.bridge_slot;
    let name = match (hook, port) {
        (Hook::Tc, Some(port)) => format!("{ENTRY_PREFIX}{}", port.port_slot()),
        (Hook::Xdp, Some(port)) => format!("xdp_{}", port.port_slot()),
        (Hook::Tc, None) => format!("bridge_{bridge}"),
        (Hook::Xdp, None) => format!("xdp_bridge_{bridge}"),
    };
    let mut code = Gen::new(&name, plan, (hook, port, fixed), changes);
    code.enter();
    code.tables();
    code.shared_blocks();
    code
}

impl<'p> Gen<'p> {
    /// Nothing is emitted yet.
    fn new(
        name: &str,
        plan: &'p Plan,
        (hook, port, fixed): (Hook, Option<PortForm<'p>>, Option<u32>),
        changes: &'p commit::Changes,
    ) -> Gen<'p> {
        Gen {
            a: Assembler::new(name),
            plan,
            hook,
            port,
            fixed,
            card: None,
            stack: card::Stack::default(),
            superseded: None,
            changes,
            heads: BTreeMap::new(),
            blocks: BTreeMap::new(),
            places: Vec::new(),
            dispatch: None,
            ends: HashSet::new(),
            groups: BTreeMap::new(),
            meters: BTreeMap::new(),
            deferred: Vec::new(),
            sizes: BTreeMap::new(),
            parse_insns: 0,
            normal: false,
            parse_again: None,
            note: None,
            resubmits: 0,
        }
    }
}

/// Offset in the state of a field's storage in the key.
pub fn key(home: FieldId) -> i16 {
    state::KEY + layout::place(home).unwrap_or_default()
}

impl Gen<'_> {
    /// Where a block is; it will be emitted.
    pub fn block(&mut self, block: Block) -> Label {
        if let Some((label, _)) = self.blocks.get(&block) {
            return *label;
        }
        let label = self.a.label(&format!("{block:?}").to_lowercase());
        self.blocks.insert(block, (label, false));
        label
    }

    /// The state, the version, and the packet's fields.
    fn enter(&mut self) {
        match (self.card, self.port) {
            (Some(_), _) => self.enter_card(),
            (None, Some(port)) => self.enter_port(&port),
            (None, None) => self.enter_bridge(),
        }
        let a = &mut self.a;
        let versions = self.plan.has_memory() || !self.plan.extras.upcalls.is_empty();
        if versions && self.card.is_none() {
            match self.fixed {
                // Asked a second time, it might be another.
                Some(version) => a.store(Size::W, R7, state::VERSION, version as i32),
                None => {
                    a.load_map_value(R1, VERSION, 0);
                    a.load(Size::W, R1, R1, 0);
                    a.store(Size::W, R7, state::VERSION, R1);
                }
            }
        }
        self.begin_words();
        self.begin_labels();
        if self.hook == Hook::Tc {
            self.begin_queues();
        }
        let start = self.a.len();
        self.parse();
        commit::emit_base(&mut self.a, self.changes);
        self.parse_insns = self.a.len() - start;
        self.begin_action_set();
        self.begin_copies();
        self.begin_notes();
        if self.hook == Hook::Xdp && !self.changes.is_empty() {
            self.a.store(Size::Dw, R7, state::COMMITTED, 0);
        }
        if self.port.is_none() && self.hook == Hook::Tc {
            self.begin_inside();
        }
        self.begin_own_port();
        self.note_arrival(false);
    }

    fn enter_bridge(&mut self) {
        let lost = self.block(Block::Lost);
        self.a.mov(R6, R1);
        if self.hook == Hook::Tc {
            self.root_front();
        }
        let a = &mut self.a;
        lookup_index(a, STATE.id, INDEX, 0);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.mov(R7, R0);
        self.begin_counts(lost);
        match self.hook {
            Hook::Tc => {
                flow_entry::begin_handed(&mut self.a, self.plan.config.bridge_slot);
                self.enter_again();
            }
            Hook::Xdp if straight::takes(self.plan) => self.front(),
            Hook::Xdp => {}
        }
    }

    /// What only some pipelines need begins as 0. Words side by side are written together.
    fn begin_words(&mut self) {
        let limits = &self.plan.limits;
        let mut pairs = Vec::new();
        if limits.count_lookups || limits.count_depth {
            pairs.push(state::LOOKUPS);
        }
        if !self.changes.is_empty() {
            pairs.push(state::DIRTY);
            self.a.store(Size::W, R7, state::L4, 0);
        }
        if !self.changes.is_empty() || self.plan.copies {
            pairs.push(state::QUEUE);
        }
        if !self.plan.extras.upcalls.is_empty() {
            pairs.push(state::RULE);
        }
        for pair in pairs {
            self.a.store(Size::Dw, R7, pair, 0);
        }
    }

    fn shared_blocks(&mut self) {
        loop {
            if self.blocks.contains_key(&Block::Return) {
                self.block(Block::End);
            }
            let late = |block| matches!(block, Block::Finish | Block::Sync | Block::Leave);
            let early = self.pending_block(|block| !late(block));
            let more = early.is_none() && self.next_table();
            if more || early.is_none() && (self.next_group() || self.next_meter()) {
                continue;
            }
            // These depend on what all others send.
            let late = || self.pending_block(|_| true);
            let Some((block, label)) = early.or_else(late) else {
                break;
            };
            self.blocks.insert(block, (label, true));
            self.shared_block(block, label);
        }
        self.emit_notes();
        // Last, because it needs to know all places.
        if self.blocks.contains_key(&Block::Return) {
            self.emit_return();
        }
        self.emit_superseded();
    }

    /// A block that something leads to and that isn't emitted yet.
    fn pending_block(&self, wanted: impl Fn(Block) -> bool) -> Option<(Block, Label)> {
        let found = self
            .blocks
            .iter()
            .find(|(block, (_, emitted))| !emitted && **block != Block::Return && wanted(**block));
        found.map(|(block, (label, _))| (*block, *label))
    }

    fn shared_block(&mut self, block: Block, label: Label) {
        self.a.comment(format!("{block:?}"));
        self.a.bind(label);
        if self.hook == Hook::Xdp {
            self.xdp_block(block);
        } else {
            self.tc_block(block);
        }
    }

    fn tc_block(&mut self, block: Block) {
        match block {
            Block::Return => {}
            Block::End => self.emit_end(),
            Block::Finish if self.port.is_some() => self.finish_straight(),
            Block::Finish => self.emit_finish(),
            Block::Pass => {}
            Block::Leave => self.emit_leave(),
            Block::Dropped => self.emit_dropped(),
            Block::Sync => self.emit_sync(),
            Block::AllPorts => self.emit_all_ports(ports::COUNT),
            Block::FloodPorts => self.emit_all_ports(ports::FLOODED),
            Block::Save => self.emit_save(false),
            Block::SaveBucket => self.emit_save(true),
            Block::RestoreBucket => self.emit_restore(true),
            Block::Upcall => self.emit_upcall(),
            Block::SendCut => self.emit_send_cut(),
            Block::PushLabel => self.emit_push_label(),
            Block::PopLabel => self.emit_pop_label(),
            Block::BareFrame => self.emit_bare_frame(),
            Block::ReadAgain => self.emit_read_again(),
            Block::UndoLabels => self.emit_undo_labels(),
            Block::Restore => self.emit_restore(false),
            Block::ActionSet => self.emit_action_set(),
            Block::ActionSetOver => self.emit_action_set_over(),
            Block::Exit => self.emit_exit(),
            Block::DropPacket => self.emit_drop_packet(),
            Block::TooDeep => self.emit_give_up(DropReason::PipelineLimit, false),
            Block::Failed => self.emit_give_up(DropReason::Failed, true),
            Block::Malformed => self.emit_give_up(DropReason::Malformed, false),
            Block::Lost => hook::end(&mut self.a),
        }
    }
}
