//! The shapes of a bridge's flows, by number.

use std::collections::HashMap;
use std::sync::Arc;

use aorta_flow::Flow;

use super::shape::Shape;

/// Shapes by number. Equal shapes have one number for as long as the bridge is there.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    numbers: HashMap<Arc<Shape>, u32>,
    /// Each with the first flow that had it.
    all: Vec<(Arc<Shape>, Arc<Flow>)>,
}

impl Shapes {
    /// The number of a shape, a new one if it is new.
    pub fn number(&mut self, shape: Shape, of: &Arc<Flow>) -> u32 {
        if let Some(number) = self.numbers.get(&shape) {
            return *number;
        }
        let (shape, number) = (Arc::new(shape), self.all.len() as u32);
        self.numbers.insert(shape.clone(), number);
        self.all.push((shape, of.clone()));
        number
    }

    /// The number of a shape that is known.
    pub fn find(&self, shape: &Shape) -> Option<u32> {
        self.numbers.get(shape).copied()
    }

    /// The shape of a number.
    pub fn get(&self, number: u32) -> Option<&Arc<Shape>> {
        self.all.get(number as usize).map(|(shape, _)| shape)
    }

    /// A flow that has or had the shape of a number.
    pub fn example(&self, number: u32) -> Option<&Flow> {
        self.all.get(number as usize).map(|(_, flow)| &**flow)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
}
