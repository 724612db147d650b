//! A remote that is open, and what differs from what should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use aorta_stream::{
    Dialer, ListenError, Listener, Remote, RemoteOptions, Setup, Tls, dial, listen,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::desired::ControllerWanted;
use super::hub::{BridgeHub, Endpoint, Hub, Peers, Side};
use super::limit::RateLimit;
use super::status::ControllerStatus;

/// What every remote is opened with.
#[derive(Debug, Clone)]
pub struct Common {
    /// What all connections have in common.
    pub hub: Arc<Hub>,
    /// Key and certificates.
    pub tls: Tls,
    /// Told when somebody comes or goes.
    pub activity: Arc<Notify>,
}

/// A remote that is open; it closes with the value.
#[derive(Debug)]
pub struct Open {
    way: Way,
    side: Side,
    options: RemoteOptions,
    limit: watch::Sender<Option<RateLimit>>,
    peers: Peers,
}

#[derive(Debug)]
enum Way {
    In(Listener),
    Out(Dialer),
}

impl Open {
    /// Opens a remote of a bridge.
    pub async fn new(
        common: &Common,
        bridge: &Arc<BridgeHub>,
        side: Side,
        remote: &Remote,
        options: RemoteOptions,
        name: String,
    ) -> Result<Open, ListenError> {
        let limit = watch::Sender::new(None);
        let peers = Peers::new(Arc::clone(&common.activity));
        let endpoint = Endpoint {
            hub: Arc::clone(&common.hub),
            bridge: Arc::clone(bridge),
            side,
            limit: limit.subscribe(),
            peers: peers.clone(),
        };
        let setup = Setup {
            options,
            tls: common.tls.clone(),
            group: None,
            activity: Arc::clone(&common.activity),
            name: Some(name),
        };
        let way = if remote.is_passive() {
            Way::In(listen(remote, endpoint, setup).await?)
        } else {
            Way::Out(dial(remote, endpoint, setup))
        };
        Ok(Open {
            way,
            side,
            options,
            limit,
            peers,
        })
    }

    /// Whether it can go on as what is wanted.
    pub fn fits(&self, wanted: &ControllerWanted) -> bool {
        self.side == Side::Controller(wanted.settings)
    }

    /// Treats peers as wanted from now on.
    pub fn adjust(&mut self, wanted: &ControllerWanted) {
        self.limit.send_if_modified(|known| {
            let changed = *known != wanted.limit;
            *known = wanted.limit;
            changed
        });
        if self.options != wanted.options {
            self.options = wanted.options;
            match &self.way {
                Way::In(listener) => listener.set_options(wanted.options),
                Way::Out(dialer) => dialer.set_options(wanted.options),
            }
        }
    }

    /// Closes its connections, but not the remote.
    pub fn disconnect(&self) {
        match &self.way {
            Way::In(listener) => listener.disconnect(),
            Way::Out(dialer) => dialer.disconnect(),
        }
    }

    /// Whether somebody is there who has agreed on a version.
    pub fn is_connected(&self) -> bool {
        self.peers.count() > 0
    }

    /// How it does.
    pub fn status(&self) -> ControllerStatus {
        let role = self.peers.role();
        match &self.way {
            Way::In(listener) => {
                ControllerStatus::of_listener(&listener.status(), self.peers.count(), role)
            }
            Way::Out(dialer) => ControllerStatus::of_dialer(&dialer.status(), role, Instant::now()),
        }
    }
}

/// Closes what shouldn't be open, or not so; treats the rest as wanted.
pub fn close_and_adjust(
    open: &mut BTreeMap<String, Open>,
    wanted: &BTreeMap<String, ControllerWanted>,
) -> Vec<String> {
    let mut closed = Vec::new();
    open.retain(|target, open| match wanted.get(target) {
        Some(wanted) if wanted.remote.is_ok() && open.fits(wanted) => {
            open.adjust(wanted);
            true
        }
        _ => {
            closed.push(target.clone());
            false
        }
    });
    closed
}
