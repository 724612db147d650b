//! Waiting for conditions instead of sleeping.

use std::time::{Duration, Instant};

use super::LabError;

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `condition` holds, at least once.
///
/// # Errors
/// [`LabError::Timeout`], naming `what`, when it doesn't within `limit`.
pub fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), LabError> {
    wait_for(what, limit, || condition().then_some(()))
}

/// Looks until `find` finds something, at least once, and returns it.
///
/// # Errors
/// [`LabError::Timeout`], naming `what`, when it doesn't within `limit`.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut find: impl FnMut() -> Option<T>,
) -> Result<T, LabError> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = find() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(LabError::Timeout {
                what: what.to_owned(),
                limit,
                detail: String::new(),
            });
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_again_until_it_holds() {
        let mut looks = 0;
        let found = wait_for("third look", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some("here")
        });
        assert_eq!((found.unwrap(), looks), ("here", 3));
    }

    #[test]
    fn names_what_did_not_happen() {
        let error = wait_until("the moon", Duration::ZERO, || false).unwrap_err();
        assert!(
            error.to_string().starts_with("the moon: not within 0ns"),
            "{error}"
        );
    }
}
