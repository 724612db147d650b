//! Numbers of devices in memory, as Open vSwitch's dummy datapath gives them. Pure.

/// First number of devices whose names begin with `br`.
const BRIDGES: u32 = 100;

/// The number of a device: the first number in its name (100 more, if the name begins with `br`),
/// so that tests can tell beforehand; the lowest free one, if that is taken or there is none.
pub fn number_of(name: &str, is_free: impl Fn(u32) -> bool) -> Option<u32> {
    let first = if name.starts_with("br") { BRIDGES } else { 0 };
    let from_digit = name
        .find(|c: char| c.is_ascii_digit())
        .map(|at| &name[at..]);
    let named = from_digit.and_then(|text| {
        let digits = text.find(|c: char| !c.is_ascii_digit());
        let number: u32 = text[..digits.unwrap_or(text.len())].parse().ok()?;
        number.checked_add(first)
    });
    let usable = |number: &u32| *number > 0 && *number <= u32::from(u16::MAX) && is_free(*number);
    named
        .filter(usable)
        .or_else(|| (1..=u32::from(u16::MAX)).find(usable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_number() {
        let free = |_| true;
        assert_eq!(number_of("p7", free), Some(7));
        assert_eq!(number_of("br0", free), Some(100));
        assert_eq!(number_of("eth3.5", free), Some(3));
        assert_eq!(number_of("tap", free), Some(1));
        assert_eq!(number_of("p0", free), Some(1));
        assert_eq!(number_of("p99999999999", free), Some(1));
        assert_eq!(number_of("p1", |n| n > 2), Some(3));
        assert_eq!(number_of("p1", |_| false), None);
    }
}
