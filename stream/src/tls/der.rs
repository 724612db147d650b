//! The names and times in a certificate (RFC 5280 §4.1). Pure.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The parts that are looked at, in DER.
struct Parts<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
}

fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let after_version = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(after_version, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, rest) = element(rest, SEQUENCE)?;
    let (subject, _) = element(rest, SEQUENCE)?;
    Some(Parts {
        issuer,
        validity,
        subject,
    })
}

/// Issuer and subject of a certificate in DER; `None` if it isn't one.
pub(super) fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    parts(certificate).map(|parts| (parts.issuer, parts.subject))
}

/// When a certificate's time begins and ends, as digits `YYYYMMDDhhmmss` in UTC, which compare as
/// numbers; `None` if it isn't one.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (begin, rest) = time(parts(certificate)?.validity)?;
    Some((begin, time(rest)?.0))
}

/// A time of RFC 5280 §4.1.2.5, and what follows it.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (text, rest, century) = match element(der, UTC_TIME) {
        Some((text, rest)) => (text, rest, if text.first()? < &b'5' { "20" } else { "19" }),
        None => element(der, GENERALIZED_TIME).map(|(text, rest)| (text, rest, ""))?,
    };
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = format!("{century}{digits}");
    let plain = digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| plain)?, rest))
}

/// A time in seconds since 1970 in the form that [`validity`] has.
pub(super) fn as_digits(unix_s: u64) -> u64 {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Years from March to February, so that the day of a leap year is the last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let clock = second / 3600 * 10_000 + second / 60 % 60 * 100 + second % 60;
    ((year * 100 + month) * 100 + date) * 1_000_000 + clock
}

/// Whether a certificate says that it is signed by its own key.
pub(super) fn is_self_issued(certificate: &[u8]) -> bool {
    issuer_and_subject(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// The contents of the first element, and what follows it; `None` if it has another tag.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificates() -> (rcgen::Certificate, rcgen::Certificate) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "the CA".repeat(30));
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = ca.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(ca, &key);
        let leaf = rcgen::CertificateParams::new(vec!["leaf".into()]).unwrap();
        let leaf = leaf
            .signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        (root, leaf)
    }

    #[test]
    fn a_leaf_names_its_issuer() {
        let (root, leaf) = certificates();
        let (issuer, subject) = issuer_and_subject(leaf.der()).unwrap();
        assert_eq!(issuer, issuer_and_subject(root.der()).unwrap().1);
        assert_ne!(issuer, subject);
        assert!(is_self_issued(root.der()) && !is_self_issued(leaf.der()));
    }

    #[test]
    fn times_compare_as_digits() {
        assert_eq!(as_digits(0), 19_700_101_000_000);
        assert_eq!(as_digits(951_782_399), 20_000_228_235_959);
        assert_eq!(as_digits(951_782_400), 20_000_229_000_000);
        assert_eq!(as_digits(951_868_800), 20_000_301_000_000);
        assert_eq!(as_digits(1_767_225_599), 20_251_231_235_959);
        assert_eq!(as_digits(4_107_542_400), 21_000_301_000_000);
    }

    #[test]
    fn times_of_certificates_are_read_in_both_forms() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 12, 31);
        params.not_after = rcgen::date_time_ymd(2051, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let wanted = (19_991_231_000_000, 20_510_203_000_000);
        assert_eq!(validity(certificate.der()), Some(wanted));
    }

    #[test]
    fn what_is_cut_short_is_no_certificate() {
        let (root, _) = certificates();
        for end in 0..root.der().len() {
            assert_eq!(issuer_and_subject(&root.der()[..end]), None);
        }
    }
}
