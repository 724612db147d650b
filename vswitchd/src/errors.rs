//! Errors as people read them.

use std::error::Error;
use std::io;

/// An error and all its causes in one line. A cause that its effect already quotes is not told
/// twice.
pub fn line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.ends_with(&own) {
            text = format!("{text}: {own}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Whether the operating system refused something for want of privileges.
pub fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The first line of a text.
pub fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches(':')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("eth0: cannot set the MTU")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_on_the_same_line() {
        let error = Outer(std::io::Error::other("too\nlarge"));
        assert_eq!(line(&error), "eth0: cannot set the MTU: too large");
    }

    #[test]
    fn a_refusal_is_found_among_the_causes() {
        let of = |errno: i32| Outer(std::io::Error::from_raw_os_error(errno));
        let [eperm, enoent, eacces] = [1, 2, 13];
        assert!(is_refused(&of(eperm)) && is_refused(&of(eacces)));
        assert!(!is_refused(&of(enoent)));
    }
}
