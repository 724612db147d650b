//! What is still to be done: frames on a stack in the state, and the way back to them.
//!
//! There are no calls: who wants to be come back to pushes the number of a place, and jumps. The
//! end of each list of actions pops the newest frame and finds its place by a binary search.

use aorta_ebpf::{Cond, Label, Reg, Size};

use super::site::{Params, Site};
use super::{Block, Gen};
use crate::pipeline::layout::state;
use crate::pipeline::maps::table_memory;

use Reg::{R1, R2, R3, R7, R8};

/// Byte offsets in a frame.
const PLACE: i16 = state::FRAMES_AT;
const RECORD: i16 = state::FRAMES_AT + 4;
const DEPTH: i16 = state::FRAMES_AT + 8;

impl Gen<'_> {
    /// A place that frames can name, with its number.
    pub fn place(&mut self, name: &str) -> (u32, Label) {
        let label = self.a.label(name);
        self.places.push(label);
        (self.places.len() as u32, label)
    }

    /// Pushes a frame that names a place where R8 isn't needed. Uses R1 to R3.
    pub fn push_bare_frame(&mut self, place: u32) {
        self.push_place(place, None);
    }

    /// Pushes a frame that names a place. Uses R1 to R3.
    pub fn push_frame(&mut self, place: u32, site: &Site) {
        let record = (site.params == Params::Record).then_some(site.table);
        self.push_place(place, record);
    }

    fn push_place(&mut self, place: u32, record: Option<u8>) {
        let full = self.block(Block::TooDeep);
        self.block(Block::Return);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::FRAMES);
        a.jump_if(Cond::Ge, R1, i32::from(state::MAX_FRAMES), full);
        a.mov(R2, R1);
        a.add(R1, 1);
        a.store(Size::W, R7, state::FRAMES, R1);
        a.lsh(R2, state::FRAME_BYTES.trailing_zeros() as i32);
        a.add(R2, R7);
        a.store(Size::W, R2, PLACE, place as i32);
        if let Some(table) = record {
            a.mov(R3, R8);
            a.load_map_value(R1, table_memory(table), 0);
            a.sub(R3, R1);
            a.store(Size::W, R2, RECORD, R3);
        }
        if self.plan.limits.count_depth {
            a.load(Size::W, R3, R7, state::DEPTH);
            a.store(Size::W, R2, DEPTH, R3);
        }
    }

    /// The place where a frame is come back to. R8 is what it was when the frame was pushed.
    pub fn arrive(&mut self, label: Label, site: &Site) {
        self.a.bind(label);
        let table = self.plan.tables.get(&site.table);
        let image = table.and_then(|table| table.image.as_ref());
        if let Some(image) = image.filter(|_| site.params == Params::Record) {
            let give_up = self.block(Block::TooDeep);
            self.a.mov(R2, R8);
            image.emit_record(&mut self.a, R2, table_memory(site.table), give_up);
        }
    }

    /// Does a shared block, and comes back here. Uses R0 to R5 and R9.
    pub fn call_block(&mut self, block: Block, site: &Site) {
        let to = self.block(block);
        self.call_label(to, site);
    }

    /// As [`Gen::call_block`], for any code that ends at [`Block::Return`].
    pub fn call_label(&mut self, to: Label, site: &Site) {
        let (place, back) = self.place("back");
        self.push_frame(place, site);
        self.a.jump(to);
        self.arrive(back, site);
    }

    /// The end of all lists: goes to the newest frame's place, or ends.
    pub fn emit_return(&mut self) {
        let label = self.block(Block::Return);
        let end = self.block(Block::End);
        if self.places.is_empty() {
            self.a.bind(label);
            // Action sets into which nothing is written have no places either.
            if let Some(dispatch) = self.dispatch {
                self.a.bind(dispatch);
            }
            self.a.jump(end);
            return;
        }
        let give_up = self.block(Block::TooDeep);
        let count_depth = self.plan.limits.count_depth;
        let a = &mut self.a;
        a.bind(label);
        a.load(Size::W, R1, R7, state::FRAMES);
        a.load(Size::W, R2, R7, state::FRAME_BASE);
        a.jump_if(Cond::Le, R1, R2, end);
        a.sub(R1, 1);
        a.store(Size::W, R7, state::FRAMES, R1);
        a.and(R1, i32::from(state::MAX_FRAMES) - 1);
        a.lsh(R1, state::FRAME_BYTES.trailing_zeros() as i32);
        a.add(R1, R7);
        if count_depth {
            a.load(Size::W, R2, R1, DEPTH);
            a.store(Size::W, R7, state::DEPTH, R2);
        }
        a.load(Size::W, R8, R1, RECORD);
        a.load(Size::W, R2, R1, PLACE);
        if let Some(dispatch) = self.dispatch {
            self.a.bind(dispatch);
        }
        // All ways backwards through places lead by here, those of action sets too.
        self.a.may_goto(give_up);
        let places = std::mem::take(&mut self.places);
        self.search(&places, 1);
        self.places = places;
    }

    /// Goes to the place whose number is in R2; the first has `first`.
    fn search(&mut self, places: &[Label], first: u32) {
        match places {
            [] => {}
            [place] => self.a.jump(*place),
            _ => {
                let (low, high) = places.split_at(places.len() / 2);
                let middle = first + low.len() as u32;
                if let [place] = low {
                    self.a.jump_if(Cond::Lt, R2, middle as i32, *place);
                } else {
                    let upper = self.a.label("upper");
                    self.a.jump_if(Cond::Ge, R2, middle as i32, upper);
                    self.search(low, first);
                    self.a.bind(upper);
                }
                self.search(high, middle);
            }
        }
    }

    /// Where code goes that has a place's number in R2 and a record's offset in R8.
    pub fn dispatch(&mut self) -> Label {
        self.block(Block::Return);
        match self.dispatch {
            Some(label) => label,
            None => {
                let label = self.a.label("dispatch");
                self.dispatch = Some(label);
                label
            }
        }
    }
}
