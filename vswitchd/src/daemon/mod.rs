//! The daemon: opens everything, then reacts until it is told to end.

mod answer;
mod ask;
mod awake;
mod error;
mod listen;
mod parts;
mod process;
mod sim;
mod wait;
mod write;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use aorta_kernel::netdev::LinkEvents;
use aorta_kernel::{Config, Datapath};
use aorta_ovsdb::{Db, Delta, Store, StoreError, StoreHandle, Tls};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tracing::{info, warn};

use awake::Awake;
pub use error::DaemonError;
use parts::{Parts, next_batch};
use process::{Signals, no_other_database, raise_open_files};
use wait::{readable, sleep_at, watch};

use crate::clock;
use crate::config::Model;
use crate::control::{Control, Request};
use crate::coverage;
use crate::expedite::Expedite;
use crate::identity::Host;
use crate::logging::LogControl;
use crate::metrics;
use crate::mgmt;
use crate::notify;
use crate::ofproto::{Journal, Moment};
use crate::openflow::connections::{self, Connections};
use crate::options::{DatapathKind, Options};
use crate::pidfile::Pidfile;
use crate::place::Place;
use crate::reconcile::{self, Effects};
use crate::remotes::Remotes;
use crate::sim::SimNet;
use crate::switch::Switch;
use crate::teardown::teardown;

/// Names under which OVS's tools look for the daemon.
const SWITCH: &str = "ovs-vswitchd";
const DATABASE: &str = "ovsdb-server";

/// Removes everything, unless a daemon runs.
pub async fn tear_down(options: &Options) -> Result<(), DaemonError> {
    let place = Place::of(options);
    let _pidfile = if place.rundir.is_dir() {
        Some(Pidfile::take(&place.rundir, SWITCH)?)
    } else {
        None
    };
    if options.datapath() == DatapathKind::Sim {
        return Ok(Journal::remove_from(&place.rundir)?);
    }
    teardown(&place).await
}

/// Runs until a signal or a client ends it. `ready` is called when clients can connect. The
/// database and its clients are tasks of `clients`, and so are those of the control sockets.
pub async fn run(
    options: Arc<Options>,
    log: LogControl,
    clients: Handle,
    ready: impl FnOnce(&str) -> io::Result<()>,
) -> Result<(), DaemonError> {
    let (options, around) = (&*options, (&log, &clients));
    match options.datapath() {
        DatapathKind::Kernel => run_with(options, around, ready, parts::kernel).await,
        DatapathKind::Sim => {
            let devices = options.devices();
            run_with(options, around, ready, |place| parts::sim(place, devices)).await
        }
    }
}

async fn run_with<E: Effects, D: reconcile::Datapath>(
    options: &Options,
    (log, clients): (&LogControl, &Handle),
    ready: impl FnOnce(&str) -> io::Result<()>,
    parts: impl FnOnce(&Place) -> Result<Parts<E, D>, DaemonError>,
) -> Result<(), DaemonError> {
    let remotes = options.remotes()?;
    raise_open_files();
    let api = mgmt::tcp_address(options)?;
    let signals = Signals::new().map_err(DaemonError::Process)?;
    let place = Place::of(options);
    place.make()?;
    let _switch = Pidfile::take(&place.rundir, SWITCH)?;
    if let Some(socket) = options.database_socket()? {
        no_other_database(&socket)?;
    }
    let _database = Pidfile::take(&place.rundir, DATABASE)?;
    place.remove_stale_sockets(&[SWITCH, DATABASE]);
    let mut daemon = Daemon::open(place.clone(), signals, clients, parts).await?;
    daemon
        .identify(&Host::read(&place.rundir, &place.db, daemon.net.is_some()))
        .await?;
    daemon.start().await?;
    let _sockets = daemon
        .listen(
            remotes,
            (api, options.metrics),
            options.control_socket(),
            log,
            clients,
        )
        .await?;
    let line = format!(
        "vswitchd is ready: {} bridges, database {}, sockets in {}",
        daemon.switch.bridges().len(),
        place.db.display(),
        place.rundir.display(),
    );
    info!("{line}");
    ready(&line).map_err(DaemonError::Process)?;
    let end = daemon.serve(log).await;
    info!("vswitchd ends");
    let _ = notify::stopping();
    daemon.store.close().await?;
    end
}

/// Everything that is open.
struct Daemon<E, D> {
    place: Place,
    signals: Signals,
    store: StoreHandle,
    deltas: mpsc::UnboundedReceiver<Arc<Delta>>,
    /// News of the host's devices, if these are used.
    events: Option<LinkEvents>,
    /// The devices in memory, if those are used.
    net: Option<SimNet>,
    switch: Switch<E, D>,
    control: Control,
    requests: mpsc::Receiver<Request>,
    awake: Awake,
    /// Where clients of the database connect, once they may.
    remotes: Option<Remotes>,
    /// Key and certificates, for all remotes.
    tls: Tls,
    /// Who speaks OpenFlow with the bridges.
    openflow: Connections,
    next_statistics: Moment,
    /// Readable when packets ask for something; none while no flow can have them ask.
    upcalls: Option<AsyncFd<OwnedFd>>,
    /// Everything was given back; only the end is to come.
    cleaned: bool,
}

/// Does something whose tasks are to run elsewhere.
fn within<T>(runtime: &Handle, start: impl FnOnce() -> T) -> T {
    let _entered = runtime.enter();
    start()
}

impl<E: Effects, D: reconcile::Datapath> Daemon<E, D> {
    async fn open(
        place: Place,
        signals: Signals,
        clients: &Handle,
        parts: impl FnOnce(&Place) -> Result<Parts<E, D>, DaemonError>,
    ) -> Result<Self, DaemonError> {
        let store = within(clients, || Store::open(&place.db))?;
        let Parts {
            switch,
            events,
            net,
        } = parts(&place)?;
        let (_, deltas) = store.subscribe().await?;
        let (control, requests) = Control::new();
        if let Some(net) = &net {
            net.allow_wires(control.clone(), place.rundir.clone());
        }
        let tls = Tls::default();
        let (database, orders) = (store.clone(), control.clone());
        let openflow = Connections::start(database, orders, tls.clone(), place.rundir.clone());
        Ok(Daemon {
            place,
            signals,
            store,
            deltas,
            events,
            net,
            switch,
            control,
            requests,
            awake: Awake::default(),
            remotes: None,
            tls,
            openflow,
            next_statistics: clock::now(),
            upcalls: None,
            cleaned: false,
        })
    }

    /// Takes the configuration as it is, and makes it true.
    async fn start(&mut self) -> Result<(), DaemonError> {
        let (db, deltas) = self.store.subscribe().await?;
        self.deltas = deltas;
        self.load(&db);
        drop(db);
        self.switch.read_devices().await?;
        self.configure().await;
        Ok(())
    }

    /// Makes the configuration true, then says so.
    async fn configure(&mut self) {
        let began = Instant::now();
        let updates = self.switch.configure().await;
        metrics::RECONCILE.add(began.elapsed());
        let wanted = connections::desired(self.switch.model(), &self.place.rundir);
        self.openflow.configure(wanted).await;
        self.write(updates).await;
    }

    fn load(&mut self, db: &Db) {
        for table in Model::TABLES {
            for row in db.rows(table) {
                self.switch.row(table, row.uuid(), Some(row));
            }
        }
    }

    /// Reacts until the end.
    async fn serve(&mut self, log: &LogControl) -> Result<(), DaemonError> {
        loop {
            if self.upcalls.is_none() {
                self.upcalls = self.switch.upcalls().map(watch).transpose()?;
            }
            tokio::select! {
                delta = self.deltas.recv() => match delta {
                    Some(delta) => self.rows_changed(&delta).await,
                    None => return Err(StoreError::Closed.into()),
                },
                batch = next_batch(self.events.as_mut()) => {
                    let batch = batch?;
                    coverage::NETLINK_EVENT.hit();
                    if !self.cleaned {
                        let updates = self.switch.devices_changed(batch).await;
                        self.write(updates).await;
                    }
                }
                Some(request) = self.requests.recv() => {
                    if self.answer_all(request).await {
                        return Ok(());
                    }
                }
                () = clock::sleep_until(self.next_statistics) => self.statistics().await,
                () = sleep_at(self.switch.next_expiry()) => self.switch.expire_flows(),
                () = sleep_at(self.switch.next_upkeep()) => self.switch.upkeep(),
                guard = readable(self.upcalls.as_ref()) => {
                    let mut guard = guard?;
                    if !self.switch.take_upcalls() {
                        guard.clear_ready();
                    }
                    // Packets for controllers leave before more of them are taken.
                    drop(guard);
                    yield_now().await;
                }
                _ = self.signals.terminate.recv() => return Ok(()),
                _ = self.signals.interrupt.recv() => return Ok(()),
                _ = self.signals.hangup.recv() => {
                    if log.has_file()
                        && let Err(error) = log.reopen()
                    {
                        warn!("{}", crate::errors::line(&error));
                    }
                }
            }
        }
    }

    /// Takes a change of the database, and all that have piled up behind it.
    async fn rows_changed(&mut self, first: &Delta) {
        let mut relevant = self.take(first);
        while let Ok(delta) = self.deltas.try_recv() {
            relevant |= self.take(&delta);
        }
        if relevant && !self.cleaned {
            self.configure().await;
        }
    }

    fn take(&mut self, delta: &Delta) -> bool {
        let mut relevant = false;
        for change in &delta.changes {
            relevant |= self
                .switch
                .row(&change.table, change.uuid, change.new.as_deref());
        }
        relevant
    }

    async fn clean_up(&mut self) -> Result<(), DaemonError> {
        self.cleaned = true;
        self.switch.clean_up().await;
        if self.net.is_some() {
            return Ok(());
        }
        let expedite = Expedite::open(&self.place.rundir);
        let _expedited = expedite.begin();
        Datapath::teardown(&Config {
            pin_dir: self.place.pin_dir.clone(),
        })?;
        Ok(())
    }

    async fn statistics(&mut self) {
        self.next_statistics = clock::now() + self.switch.statistics_interval();
        if !self.cleaned && !self.switch.bridges().is_empty() {
            let updates = self.switch.collect_statistics().await;
            self.write(updates).await;
        }
    }
}
