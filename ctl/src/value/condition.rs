//! Conditions of `find` and `wait-until` (ovs-vsctl(8), Database Command Syntax).

use std::cmp::Ordering;

use aorta_ovsdb::Datum;

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// By size and then by elements.
    Order(Compare),
    /// As sets.
    Set(Compare),
    /// No element in common.
    NotIn,
}

/// Which outcome of a comparison is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less, or a proper subset.
    Lt,
    /// Greater, or a proper superset.
    Gt,
    /// Less or equal, or a subset.
    Le,
    /// Greater or equal, or a superset.
    Ge,
}

/// Longer operators precede those that they begin with.
const OPERATORS: [(&str, Operator); 14] = [
    ("{!=}", Operator::Set(Compare::Ne)),
    ("{<=}", Operator::Set(Compare::Le)),
    ("{>=}", Operator::Set(Compare::Ge)),
    ("{=}", Operator::Set(Compare::Eq)),
    ("{<}", Operator::Set(Compare::Lt)),
    ("{>}", Operator::Set(Compare::Gt)),
    ("{in}", Operator::Set(Compare::Le)),
    ("{not-in}", Operator::NotIn),
    ("!=", Operator::Order(Compare::Ne)),
    ("<=", Operator::Order(Compare::Le)),
    (">=", Operator::Order(Compare::Ge)),
    ("=", Operator::Order(Compare::Eq)),
    ("<", Operator::Order(Compare::Lt)),
    (">", Operator::Order(Compare::Gt)),
];

impl Operator {
    /// All operators, for messages.
    pub const ALL_NAMES: &str = "\"=\", \"!=\", \"<\", \">\", \"<=\", \">=\", \"{=}\", \"{!=}\", \
                                 \"{<}\", \"{>}\", \"{<=}\", \"{>=}\", \"{in}\", or \"{not-in}\"";

    /// Takes an operator off the beginning of a text: the longest that leaves a value.
    pub fn split(text: &str) -> Option<(Operator, &str)> {
        let split = |(name, operator): &(&str, Operator)| {
            let value = text.strip_prefix(name).filter(|value| !value.is_empty());
            Some((*operator, value?))
        };
        OPERATORS.iter().find_map(split)
    }

    /// Whether a missing map key counts as the empty set rather than as no match.
    pub fn is_set(self) -> bool {
        !matches!(self, Operator::Order(_))
    }
}

/// Orders by number of elements, then by elements, then by a map's values.
fn compare(left: &Datum, right: &Datum) -> Ordering {
    let by_len = left.len().cmp(&right.len());
    by_len.then_with(|| match (left, right) {
        (Datum::Map(left), Datum::Map(right)) => {
            let keys = left
                .iter()
                .map(|pair| &pair.0)
                .cmp(right.iter().map(|pair| &pair.0));
            keys.then_with(|| left.iter().map(|p| &p.1).cmp(right.iter().map(|p| &p.1)))
        }
        _ => left.cmp(right),
    })
}

/// Whether each element (or pair) of `part` is in `whole`.
fn includes(whole: &Datum, part: &Datum) -> bool {
    match (whole, part) {
        (Datum::Set(whole), Datum::Set(part)) => part.iter().all(|atom| whole.contains(atom)),
        (Datum::Map(whole), Datum::Map(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key) == Some(value)),
        _ => false,
    }
}

fn disjoint(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Set(left), Datum::Set(right)) => !left.iter().any(|atom| right.contains(atom)),
        (Datum::Map(left), Datum::Map(right)) => !left
            .iter()
            .any(|(key, value)| right.get(key) == Some(value)),
        _ => true,
    }
}

/// Whether `have operator want` holds.
pub fn holds(have: &Datum, operator: Operator, want: &Datum) -> bool {
    match operator {
        Operator::Order(wanted) => {
            let order = compare(have, want);
            match wanted {
                Compare::Eq => order.is_eq(),
                Compare::Ne => order.is_ne(),
                Compare::Lt => order.is_lt(),
                Compare::Gt => order.is_gt(),
                Compare::Le => order.is_le(),
                Compare::Ge => order.is_ge(),
            }
        }
        Operator::Set(wanted) => match wanted {
            Compare::Eq => have == want,
            Compare::Ne => have != want,
            Compare::Lt => have.len() < want.len() && includes(want, have),
            Compare::Gt => have.len() > want.len() && includes(have, want),
            Compare::Le => includes(want, have),
            Compare::Ge => includes(have, want),
        },
        Operator::NotIn => disjoint(have, want),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_for(have: &[i64], operator: &str, want: &[i64]) -> bool {
        let text = format!("{operator}x");
        let (operator, rest) = Operator::split(&text).unwrap();
        assert_eq!(rest, "x");
        holds(
            &Datum::set(have.iter().copied()),
            operator,
            &Datum::set(want.iter().copied()),
        )
    }

    #[test]
    fn order_compares_sizes_first() {
        assert!(holds_for(&[9], "<", &[1, 2]));
        assert!(holds_for(&[1, 3], ">", &[1, 2]));
        assert!(holds_for(&[1, 2], "<=", &[1, 2]));
        assert!(!holds_for(&[1, 2], "!=", &[2, 1]));
    }

    #[test]
    fn set_operators_compare_contents() {
        assert!(holds_for(&[], "{<}", &[1]));
        assert!(!holds_for(&[1], "{<}", &[1]));
        assert!(holds_for(&[1], "{<=}", &[1, 2]));
        assert!(holds_for(&[1], "{in}", &[1, 2]));
        assert!(holds_for(&[1, 2], "{>}", &[2]));
        assert!(!holds_for(&[1, 2], "{>=}", &[3]));
        assert!(holds_for(&[1, 2], "{not-in}", &[3, 4]));
        assert!(!holds_for(&[1, 2], "{not-in}", &[2, 4]));
        assert!(holds_for(&[1], "{!=}", &[]));
    }

    #[test]
    fn maps_compare_keys_before_values() {
        let left = Datum::map([("a", 9), ("b", 0)]);
        let right = Datum::map([("a", 1), ("c", 0)]);
        assert!(holds(&left, Operator::Order(Compare::Lt), &right));
        assert!(holds(
            &left,
            Operator::Set(Compare::Ge),
            &Datum::map([("a", 9)])
        ));
        assert!(!holds(
            &left,
            Operator::Set(Compare::Ge),
            &Datum::map([("a", 1)])
        ));
    }

    #[test]
    fn the_longest_operator_is_taken() {
        assert_eq!(
            Operator::split("<=5"),
            Some((Operator::Order(Compare::Le), "5"))
        );
        assert_eq!(
            Operator::split("{=}5"),
            Some((Operator::Set(Compare::Eq), "5"))
        );
        assert_eq!(
            Operator::split(">="),
            Some((Operator::Order(Compare::Gt), "="))
        );
        assert_eq!(Operator::split("5"), None);
        assert_eq!(Operator::split("="), None);
    }
}
