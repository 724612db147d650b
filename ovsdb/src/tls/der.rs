//! The names in a certificate (RFC 5280 §4.1), as bytes. Pure.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// Issuer and subject of a certificate in DER; `None` if it isn't one.
pub(super) fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let after_version = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(after_version, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (issuer, rest) = element(rest, SEQUENCE)?;
    let (_validity, rest) = element(rest, SEQUENCE)?;
    let (subject, _) = element(rest, SEQUENCE)?;
    Some((issuer, subject))
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
    fn what_is_cut_short_is_no_certificate() {
        let (root, _) = certificates();
        for end in 0..root.der().len() {
            assert_eq!(issuer_and_subject(&root.der()[..end]), None);
        }
    }
}
