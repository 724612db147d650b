//! Measuring in turns, so that what changes over time hits every variant alike.

use crate::bench::Series;
use crate::error::TaskError;

/// One of the things that are compared.
pub struct Variant<'a> {
    /// Its name in the table.
    pub name: &'a str,
    /// Takes one sample.
    pub sample: Box<dyn FnMut() -> Result<f64, TaskError> + 'a>,
}

impl<'a> Variant<'a> {
    /// A variant.
    pub fn new(name: &'a str, sample: impl FnMut() -> Result<f64, TaskError> + 'a) -> Variant<'a> {
        Variant {
            name,
            sample: Box::new(sample),
        }
    }
}

/// Samples every variant once in each round, every second round in the opposite order, after a
/// first round that isn't counted.
///
/// # Errors
/// The first sample that fails.
pub fn interleaved(
    rounds: u32,
    unit: &'static str,
    mut variants: Vec<Variant<'_>>,
) -> Result<Vec<Series>, TaskError> {
    let mut series: Vec<Series> = variants
        .iter()
        .map(|variant| Series {
            name: variant.name.to_owned(),
            unit,
            samples: Vec::new(),
        })
        .collect();
    for variant in &mut variants {
        (variant.sample)()?;
    }
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..variants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for n in order {
            series[n].samples.push((variants[n].sample)()?);
        }
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn turns_are_taken_both_ways_after_a_warm_up() {
        let calls = RefCell::new(String::new());
        let variant = |name: &'static str| {
            let calls = &calls;
            Variant::new(name, move || {
                calls.borrow_mut().push_str(name);
                Ok(calls.borrow().len() as f64)
            })
        };
        let series = interleaved(2, "x", vec![variant("a"), variant("b")]).unwrap();
        assert_eq!(*calls.borrow(), "ababba");
        assert_eq!(series[0].samples, [3.0, 6.0]);
        assert_eq!(series[1].samples, [4.0, 5.0]);
    }

    #[test]
    fn a_failed_sample_ends_it() {
        let fails = Variant::new("a", || Err(TaskError::NoBench("x".to_owned())));
        assert!(interleaved(1, "x", vec![fails]).is_err());
    }
}
