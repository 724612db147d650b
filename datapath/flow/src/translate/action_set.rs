//! The order in which an action set is done (OpenFlow 1.3.5 §5.10, with extensions).

use crate::action::Action;

/// Kinds of which the last one counts, in the order in which they are done.
const ONCE: [fn(&Action) -> bool; 7] = [
    |a| matches!(a, Action::PopVlan | Action::StripVlan),
    |a| matches!(a, Action::PopMpls(_)),
    |a| matches!(a, Action::PushMpls(_)),
    |a| matches!(a, Action::PushVlan(_)),
    |a| matches!(a, Action::DecTtl(_)),
    |a| matches!(a, Action::DecMplsTtl),
    |a| matches!(a, Action::DecNshTtl),
];

/// Kinds of which one is done at the end: the first kind that is there.
const LAST: [fn(&Action) -> bool; 4] = [
    |a| matches!(a, Action::Group(_)),
    |a| {
        matches!(
            a,
            Action::Output(_)
                | Action::OutputTruncated { .. }
                | Action::OutputField(_)
                | Action::Controller(_)
        )
    },
    |a| matches!(a, Action::Resubmit { .. }),
    |a| matches!(a, Action::Ct(_)),
];

fn sets(action: &Action) -> bool {
    matches!(
        action,
        Action::SetField { .. }
            | Action::Load { .. }
            | Action::Modify { .. }
            | Action::Move { .. }
            | Action::SetVlanVid { .. }
            | Action::SetVlanPcp { .. }
            | Action::SetTunnel { .. }
    )
}

/// The actions of a set, in the order in which they are done. Without a group or an output,
/// nothing is.
pub fn in_order<'a>(set: &[&'a Action]) -> Vec<&'a Action> {
    let last_of = |kind: &fn(&Action) -> bool| set.iter().rev().find(|a| kind(a)).copied();
    let Some(last) = LAST.iter().find_map(last_of) else {
        return Vec::new();
    };
    let mut ordered: Vec<&Action> = ONCE.iter().filter_map(last_of).collect();
    ordered.extend(set.iter().filter(|action| sets(action)));
    let queue: fn(&Action) -> bool = |a| matches!(a, Action::SetQueue(_));
    ordered.extend(last_of(&queue));
    ordered.push(last);
    ordered
}
