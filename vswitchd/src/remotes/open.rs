//! A remote that is open.

use aorta_ovsdb::{Dialer, ListenError, Listener, Remote, RemoteOptions, Setup, StoreHandle};
use tokio::time::Instant;

use super::status::RowStatus;

/// A remote that is open; it closes with the value.
#[derive(Debug)]
pub(super) struct Open {
    way: Way,
    pub(super) options: RemoteOptions,
}

#[derive(Debug)]
enum Way {
    In(Listener),
    Out(Dialer),
}

impl Open {
    pub(super) async fn new(
        store: &StoreHandle,
        remote: &Remote,
        setup: Setup,
    ) -> Result<Open, ListenError> {
        let options = setup.options;
        let way = if remote.is_passive() {
            Way::In(store.listen_with(remote, setup).await?)
        } else {
            Way::Out(store.dial(remote, setup))
        };
        Ok(Open { way, options })
    }

    pub(super) fn set_options(&mut self, options: RemoteOptions) {
        self.options = options;
        match &self.way {
            Way::In(listener) => listener.set_options(options),
            Way::Out(dialer) => dialer.set_options(options),
        }
    }

    /// Closes its connections, but not the remote.
    pub(super) fn disconnect(&self) {
        match &self.way {
            Way::In(listener) => listener.disconnect(),
            Way::Out(dialer) => dialer.disconnect(),
        }
    }

    pub(super) fn bound_port(&self) -> Option<u16> {
        match &self.way {
            Way::In(listener) => listener.address().map(|a| a.port()),
            Way::Out(_) => None,
        }
    }

    pub(super) async fn status(&self, store: &StoreHandle) -> RowStatus {
        match &self.way {
            Way::In(listener) => RowStatus::of_listener(&listener.status()),
            Way::Out(dialer) => {
                // A database that is closed has no locks.
                let locks = store.locks(dialer).await.unwrap_or_default();
                RowStatus::of_dialer(&dialer.status(), &locks, Instant::now())
            }
        }
    }
}
