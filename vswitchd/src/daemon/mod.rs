//! The daemon: opens everything, then reacts until it is told to end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
mod ask;
mod awake;
mod error;
mod parts;
mod process;
mod sim;
mod wait;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use aorta_kernel::netdev::LinkEvents;
use aorta_kernel::{Config, Datapath};
use aorta_ovsdb::{Db, Delta, Store, StoreError, StoreHandle, Tls, op};
use serde_json::Value;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tracing::{error, info, warn};

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
use crate::metrics::{self, Source};
use crate::mgmt::{self, ApiError, ApiSocket};
use crate::notify;
use crate::ofproto::{Journal, Moment};
use crate::openflow::connections::{self, Connections};
use crate::options::{DatapathKind, Options};
use crate::pidfile::Pidfile;
use crate::place::Place;
use crate::reconcile::{self, Effects};
use crate::remotes::{Order, Remotes, RemotesConfig};
use crate::sim::SimNet;
use crate::switch::Switch;
use crate::teardown::teardown;
use crate::unixctl::{self, Commands, ControlSocket, Target};
use crate::writeback::RowUpdate;

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

/// Sockets that live as long as the daemon.
type Sockets = (Vec<ControlSocket>, ApiSocket);

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

    /// Makes sure that there is a row of table Open_vSwitch, and that it tells about the host.
    async fn identify(&mut self, host: &Host) -> Result<(), DaemonError> {
        let mut db = self.store.snapshot().await?;
        if db.rows("Open_vSwitch").next().is_none() {
            let insert = op::insert("Open_vSwitch", None, op::Columns::new());
            self.store.transact(Value::Array(vec![insert])).await?;
            db = self.store.snapshot().await?;
        }
        let Some(row) = db.rows("Open_vSwitch").next() else {
            return Ok(());
        };
        let (uuid, columns) = (row.uuid(), host.columns(row));
        if !columns.is_empty() {
            self.transact(vec![RowUpdate {
                table: "Open_vSwitch",
                uuid,
                columns,
            }])
            .await?;
        }
        Ok(())
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

    async fn listen(
        &mut self,
        remotes: RemotesConfig,
        (api, metrics): (Option<SocketAddr>, Option<SocketAddr>),
        extra: Option<PathBuf>,
        log: &LogControl,
        clients: &Handle,
    ) -> Result<Sockets, DaemonError> {
        let (store, tls) = (self.store.clone(), self.tls.clone());
        let started = clients.spawn(async move { Remotes::start(&store, remotes, tls).await });
        self.remotes = Some(started.await??);
        let rundir = &self.place.rundir;
        let control = |target, path: PathBuf| {
            let (control, log) = (self.control.clone(), log.clone());
            let commands = Commands::new(target, control, self.store.clone(), log);
            let commands = commands.simulated(self.net.is_some());
            let socket = within(clients, || unixctl::serve(&path, commands));
            socket.map_err(|source| DaemonError::Socket { path, source })
        };
        let usual = |name| unixctl::socket_path(rundir, name);
        let mut controls = vec![
            control(Target::Switch, usual(SWITCH))?,
            control(Target::Database, usual(DATABASE))?,
        ];
        if let Some(path) = extra {
            controls.push(control(Target::Switch, path)?);
        }
        let (control, store) = (self.control.clone(), self.store.clone());
        let datapath = if self.net.is_some() { "sim" } else { "kernel" };
        let file = self.place.db.clone();
        let source = Source::new(control.clone(), store.clone(), file, datapath);
        let rundir = rundir.clone();
        let api = async move {
            let mut api = mgmt::serve(&rundir, api, control, store, source).await?;
            if let Some(address) = metrics {
                api.serve_metrics(address).await?;
            }
            Ok::<_, ApiError>(api)
        };
        Ok((controls, clients.spawn(api).await??))
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

    /// Answers a question, and those behind it that come at once. True if the daemon is to end.
    async fn answer_all(&mut self, first: Request) -> bool {
        self.awake.begin(Instant::now());
        let mut next = Some(first);
        loop {
            if let Some(request) = next {
                if self.answer(request).await {
                    return true;
                }
                self.awake.done(Instant::now());
            }
            yield_now().await;
            let now = Instant::now();
            if self.awake.is_over(now) {
                return false;
            }
            next = self.requests.try_recv().ok();
            match next {
                Some(_) => self.awake.came(now),
                // Whoever shares the processor may have the next one to send.
                None if self.awake.stays(now) => thread::yield_now(),
                None => return false,
            }
        }
    }

    /// Answers a question. True if the daemon is to end.
    async fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Status(to) => drop(to.send(self.switch.status())),
            Request::Metrics(to) => drop(to.send(Box::new(self.switch.metrics()))),
            Request::Bridges(to) => drop(to.send(self.switch.bridges())),
            request @ (Request::Fdb(..)
            | Request::FlushFdb(..)
            | Request::FdbReport(..)
            | Request::ClearFdbCounts(..)
            | Request::FixStation { .. }
            | Request::Datapath(_)) => self.answer_about_datapath(request),
            Request::Qos(port, to) => drop(to.send(self.switch.qos(&port).await)),
            Request::Flows(bridge, request) => self.switch.answer_flows(&bridge, request),
            Request::OpenFlow(order) => self.switch.openflow(order).await,
            Request::CleanUp(to) => {
                let result = self.clean_up().await;
                drop(to.send(result.map_err(|error| crate::errors::line(&error))));
            }
            Request::Sim(order, to) => drop(to.send(self.follow_sim(order).await)),
            Request::AddRemote(remote, to) => self.order(Order::Add(remote, to)).await,
            Request::RemoveRemote(remote, to) => self.order(Order::Remove(remote, to)).await,
            Request::ListRemotes(to) => self.order(Order::List(to)).await,
            Request::Reconnect(to) => self.order(Order::Reconnect(to)).await,
            Request::ReconnectBridges(bridge, to) => self.openflow.reconnect(bridge, to).await,
            Request::End(to) => {
                let _ = to.send(());
                return true;
            }
        }
        false
    }

    async fn order(&self, order: Order) {
        if let Some(remotes) = &self.remotes {
            remotes.order(order).await;
        }
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

    /// Writes rows. What can't be written is tried again with the next change.
    async fn write(&mut self, updates: Vec<RowUpdate>) {
        if updates.is_empty() {
            return;
        }
        if let Err(error) = self.transact(updates).await {
            error!(
                "cannot write the switch's state: {}",
                crate::errors::line(&error)
            );
            self.switch.unpublish();
        }
    }

    async fn transact(&self, updates: Vec<RowUpdate>) -> Result<(), StoreError> {
        let operation = |update: RowUpdate| {
            let columns = update.columns.into_iter();
            let row = columns.fold(op::Columns::new(), |row, (column, datum)| {
                row.set(column, datum)
            });
            op::update(update.table, update.uuid, row)
        };
        let operations = updates.into_iter().map(operation).collect();
        self.store
            .transact(Value::Array(operations))
            .await
            .map(drop)
    }
}
