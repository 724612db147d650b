//! Netlink attributes: length (u16), type (u16), value, padded to four bytes.

/// Length of an attribute's header in bytes.
const HEADER: usize = 4;
/// Bits of a type that say something else: nested, and in network byte order.
const FLAGS: u16 = 0xc000;

/// Appends an attribute.
pub fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends an attribute of a u32.
pub fn put_u32(out: &mut Vec<u8>, kind: u16, value: u32) {
    put(out, kind, &value.to_ne_bytes());
}

/// The attributes in some bytes, up to the first that isn't whole.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & !FLAGS;
        let value = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a type.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut all = attributes(bytes);
    all.find(|(known, _)| *known == kind)
        .map(|(_, value)| value)
}

/// A u16 in host byte order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// A u32 in host byte order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A u64 in host byte order.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, b"htb\0");
        put(&mut bytes, 2 | 0x8000, b"x");
        put_u32(&mut bytes, 3, 7);
        let read: Vec<_> = attributes(&bytes).collect();
        let seven = 7u32.to_ne_bytes();
        assert_eq!(read, [(1, &b"htb\0"[..]), (2, b"x"), (3, &seven)]);
        assert_eq!(find(&bytes, 3).and_then(|v| u32_at(v, 0)), Some(7));
        assert_eq!(find(&bytes, 4), None);
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_ends_the_list() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, &[0; 8]);
        for end in 0..bytes.len() {
            assert_eq!(attributes(&bytes[..end]).count(), 0, "{end}");
        }
        for length in [0u16, 3, 13, u16::MAX] {
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(attributes(&bytes).count(), 0, "{length}");
        }
    }
}
