//! What the daemon waits for besides messages.

use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::DaemonError;
use crate::clock;
use crate::ofproto::Moment;

/// Sleeps until a moment, or for ever.
pub async fn sleep_at(at: Option<Moment>) {
    match at {
        Some(at) => clock::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits until packets ask for flows, for ever if none can.
pub async fn readable(
    upcalls: Option<&AsyncFd<OwnedFd>>,
) -> Result<AsyncFdReadyGuard<'_, OwnedFd>, DaemonError> {
    match upcalls {
        Some(upcalls) => upcalls.readable().await.map_err(DaemonError::Upcalls),
        None => std::future::pending().await,
    }
}

/// Listens to packets that ask for flows.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe; an OwnedFd is always the same open descriptor"
)]
pub fn watch(upcalls: BorrowedFd<'_>) -> Result<AsyncFd<OwnedFd>, DaemonError> {
    let fd = upcalls.try_clone_to_owned().map_err(DaemonError::Upcalls)?;
    AsyncFd::with_interest(fd, Interest::READABLE).map_err(DaemonError::Upcalls)
}
