//! Buckets of several tuples that are read at once. A lookup that goes from tuple to tuple waits for each
//! bucket in turn, since what comes next depends on it; where buckets are far from the processor, that is
//! most of its time. So all are read before any is looked at.

use aorta_ebpf::{AluOp, Assembler, Cond, Label, Reg, Size, Width};

use super::TableImage;
use super::emit::{Emit, hash};
use super::image::Search;
use super::tuple::Tuple;

use Reg::{R1, R4, R10};

/// Buckets at once, as many as have room in the stack frame.
const MOST: usize = 16;

/// Which of a lookup's searches are read at once.
pub(super) struct Ahead<'a> {
    /// By position: the tuples of which this one is the first, and its own place among them.
    places: Vec<Option<(Vec<&'a Tuple>, usize)>>,
}

impl<'a> Ahead<'a> {
    /// Of the searches in `order`, where that is worth anything.
    pub fn of(image: &'a TableImage, order: &[usize]) -> Ahead<'a> {
        let mut places: Vec<Option<(Vec<&Tuple>, usize)>> = vec![None; order.len()];
        let hashed = order.iter().enumerate().filter_map(|(position, index)| {
            match &image.searches[*index] {
                Search::Tuple(tuple) if !tuple.parts.is_empty() => Some((position, tuple)),
                _ => None,
            }
        });
        let hashed: Vec<(usize, &Tuple)> = hashed.collect();
        if image.far && hashed.len() > 1 {
            for group in hashed.chunks(MOST) {
                let mut tuples: Vec<&Tuple> = group.iter().map(|(_, tuple)| *tuple).collect();
                for (place, (position, _)) in group.iter().enumerate() {
                    places[*position] = Some((std::mem::take(&mut tuples), place));
                }
            }
        }
        Ahead { places }
    }

    /// What is to be read before the search at a position.
    pub fn tuples(&self, position: usize) -> &[&'a Tuple] {
        let place = self.places.get(position).and_then(Option::as_ref);
        place.map_or(&[], |(tuples, _)| tuples)
    }

    /// Where in the stack frame the bucket of the search at a position stands, if it was read.
    pub fn slot(&self, position: usize) -> Option<i16> {
        let place = self.places.get(position).and_then(Option::as_ref);
        place.map(|(_, place)| slot(*place))
    }
}

fn slot(place: usize) -> i16 {
    -8 * (place as i16 + 1)
}

impl Emit<'_> {
    /// Reads each tuple's bucket; what has nothing for the packet becomes 0. Uses R0 to R4.
    pub fn look_ahead(&self, a: &mut Assembler, tuples: &[&Tuple]) {
        for (place, tuple) in tuples.iter().enumerate() {
            hash(a, self.image.seed, tuple);
            self.word(a);
            self.bit(a);
            // Without a jump, so that nothing waits for the bucket.
            a.alu(AluOp::Mul, Width::W64, R4, R1);
            a.store(Size::Dw, R10, slot(place), R4);
        }
    }

    /// R4 = offset of the first record of a bucket that was read; goes to `next` if there is none.
    pub fn found_ahead(&self, a: &mut Assembler, slot: i16, next: Label) {
        a.load(Size::Dw, R4, R10, slot);
        a.jump_if(Cond::Eq, R4, 0, next);
        self.first_record(a);
    }
}
