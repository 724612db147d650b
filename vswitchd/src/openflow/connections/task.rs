//! The task that opens and closes remotes of bridges, and tells rows how they do.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aorta_ovsdb::{StoreHandle, Uuid, op};
use aorta_stream::{Remote, RemoteOptions, Tls};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::desired::{BridgeWanted, ControllerWanted, Desired};
use super::failmode::{FailMode, Situation, patience};
use super::hub::{BridgeHub, Hub, Side};
use super::open::{Common, Open, close_and_adjust};
use super::status::ControllerStatus;
use crate::control::{Control, Request};
use crate::errors::line;
use crate::openflow::Order;

/// Open vSwitch tells rows the time so often.
const PERIOD: Duration = Duration::from_secs(5);
/// Those who come and go in quick succession are told of in one go.
const PAUSE: Duration = Duration::from_millis(100);
/// How many orders wait before who gives them does.
const QUEUE: usize = 16;

/// What the daemon asks for.
#[derive(Debug)]
enum Job {
    /// Have these connections, and say when they can be used.
    Configure(Desired, oneshot::Sender<()>),
    /// Close the connections of a bridge, or of all, and make them anew. The answer is whether
    /// there is such a bridge.
    Reconnect(Option<String>, oneshot::Sender<bool>),
}

/// All connections; they end with the value.
#[derive(Debug)]
pub struct Connections {
    jobs: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connections {
    /// None yet. `rundir` is for the sockets of bridges.
    pub fn start(store: StoreHandle, control: Control, tls: Tls, rundir: PathBuf) -> Connections {
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let activity = Arc::new(Notify::new());
        let work = Work {
            store,
            common: Common {
                hub: Arc::new(Hub::new(control)),
                tls,
                activity: Arc::clone(&activity),
            },
            rundir,
            desired: Desired::new(),
            bridges: BTreeMap::new(),
            orders: VecDeque::new(),
            published: HashMap::new(),
            publish_at: None,
            published_at: Instant::now(),
        };
        let task = tokio::spawn(work.run(receiver));
        Connections { jobs, task }
    }

    /// Has these connections from now on; when it returns, clients can connect.
    pub async fn configure(&self, desired: Desired) {
        let (done, receiver) = oneshot::channel();
        if self.jobs.send(Job::Configure(desired, done)).await.is_ok() {
            // Without the task there is nothing to wait for.
            let _ = receiver.await;
        }
    }

    /// Closes the connections of a bridge, or of all; controllers are connected to anew. The answer
    /// goes to `done`: whether there is such a bridge.
    pub async fn reconnect(&self, bridge: Option<String>, done: oneshot::Sender<bool>) {
        if self.jobs.send(Job::Reconnect(bridge, done)).await.is_err() {
            debug!("an order came after the end");
        }
    }
}

struct Work {
    store: StoreHandle,
    common: Common,
    rundir: PathBuf,
    desired: Desired,
    bridges: BTreeMap<String, Bridge>,
    /// For the switch's task, which may be waiting for this one.
    orders: VecDeque<Order>,
    published: HashMap<Uuid, ControllerStatus>,
    publish_at: Option<Instant>,
    published_at: Instant,
}

/// What is open for one bridge.
struct Bridge {
    hub: Arc<BridgeHub>,
    /// `BRIDGE.mgmt` and `BRIDGE.snoop`, as far as their sockets could be had.
    own: BTreeMap<&'static str, Open>,
    controllers: BTreeMap<String, Open>,
    /// Why those that should be open are not.
    failures: BTreeMap<String, String>,
    mode: FailMode,
}

impl Bridge {
    fn new(name: &str, wanted: &BridgeWanted) -> Bridge {
        Bridge {
            hub: Arc::new(BridgeHub::new(name, wanted.versions)),
            own: BTreeMap::new(),
            controllers: BTreeMap::new(),
            failures: BTreeMap::new(),
            mode: FailMode::default(),
        }
    }

    fn situation(&self, wanted: &BridgeWanted) -> Situation {
        let connected = |(target, _): (&String, &ControllerWanted)| {
            self.controllers.get(target).is_some_and(Open::is_connected)
        };
        Situation {
            standalone: !wanted.secure && wanted.primaries().next().is_some(),
            connected: wanted.primaries().any(connected),
            probe: wanted
                .primaries()
                .filter_map(|(_, w)| w.options.probe)
                .max(),
        }
    }
}

impl Work {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let activity = Arc::clone(&self.common.activity);
        let control = self.common.hub.control.clone();
        loop {
            let due = self.due();
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => self.job(job).await,
                    None => return,
                },
                room = control.reserve(), if !self.orders.is_empty() => match room {
                    Some(room) => {
                        if let Some(order) = self.orders.pop_front() {
                            room.send(Request::OpenFlow(order));
                        }
                    }
                    None => return,
                },
                () = activity.notified() => {
                    let soon = self.published_at + PAUSE;
                    self.publish_at.get_or_insert(soon);
                    self.judge();
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tick().await;
                }
            }
        }
    }

    /// When rows are to hear something, a remote is to be tried again, or a bridge has waited for
    /// long enough.
    fn due(&self) -> Option<Instant> {
        let mut controllers = self.desired.values().flat_map(|b| b.controllers.values());
        let told = controllers.next().is_some();
        let failed = self
            .bridges
            .values()
            .any(|b| !b.failures.is_empty() || b.own.len() < 2);
        let regular = (told || failed).then_some(self.published_at + PERIOD);
        let soon = self.publish_at.filter(|_| told);
        let modes = self.bridges.iter().filter_map(|(name, bridge)| {
            let situation = bridge.situation(self.desired.get(name)?);
            bridge.mode.due(&situation)
        });
        regular.into_iter().chain(soon).chain(modes).min()
    }

    async fn tick(&mut self) {
        self.judge();
        let now = Instant::now();
        if now >= self.published_at + PERIOD || self.publish_at.is_some_and(|at| now >= at) {
            self.open_missing().await;
            self.publish().await;
        }
    }

    async fn job(&mut self, job: Job) {
        match job {
            Job::Configure(desired, done) => {
                if desired != self.desired {
                    self.configure(desired).await;
                }
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Job::Reconnect(name, done) => {
                let chosen = |known: &String| name.as_ref().is_none_or(|name| name == known);
                let mut found = name.is_none();
                for (_, bridge) in self.bridges.iter().filter(|(known, _)| chosen(known)) {
                    found = true;
                    let own = bridge.own.values();
                    own.chain(bridge.controllers.values())
                        .for_each(Open::disconnect);
                }
                let _ = done.send(found);
            }
        }
    }

    async fn configure(&mut self, desired: Desired) {
        self.bridges.retain(|name, _| desired.contains_key(name));
        for (name, wanted) in &desired {
            let bridge = self
                .bridges
                .entry(name.clone())
                .or_insert_with(|| Bridge::new(name, wanted));
            if bridge.hub.versions != wanted.versions {
                // Who spoke another version comes again.
                let mode = bridge.mode;
                *bridge = Bridge::new(name, wanted);
                bridge.mode = mode;
            }
            for target in close_and_adjust(&mut bridge.controllers, &wanted.controllers) {
                info!("{name}: removed controller {target:?}");
            }
            let controllers = &wanted.controllers;
            bridge
                .failures
                .retain(|target, _| controllers.contains_key(target));
        }
        self.desired = desired;
        self.open_missing().await;
        self.judge();
        // Rows hear of it a moment later: the switch waits for what came so far.
        self.publish_at.get_or_insert(Instant::now());
    }

    /// Opens all that should be open.
    async fn open_missing(&mut self) {
        for (name, wanted) in &self.desired {
            let Some(bridge) = self.bridges.get_mut(name) else {
                continue;
            };
            for (kind, side) in [("mgmt", Side::Client), ("snoop", Side::Watcher)] {
                if bridge.own.contains_key(kind) {
                    continue;
                }
                let path = self.rundir.join(format!("{name}.{kind}"));
                let remote = Remote::ListenUnix(path);
                let options = RemoteOptions::usual(&remote);
                let label = format!("{name}.{kind}");
                match Open::new(&self.common, &bridge.hub, side, &remote, options, label).await {
                    Ok(open) => drop(bridge.own.insert(kind, open)),
                    Err(error) => warn!("{}; it is tried again", line(&error)),
                }
            }
            for (target, wanted) in &wanted.controllers {
                if !bridge.controllers.contains_key(target) {
                    open_controller(&self.common, name, bridge, target, wanted).await;
                }
            }
        }
    }

    /// Decides which bridges have to do without their controllers.
    fn judge(&mut self) {
        let now = Instant::now();
        for (name, wanted) in &self.desired {
            let Some(bridge) = self.bridges.get_mut(name) else {
                continue;
            };
            let situation = bridge.situation(wanted);
            let (before, after) = (bridge.mode, bridge.mode.next(&situation, now));
            bridge.mode = after;
            if before.is_open() == after.is_open() {
                continue;
            }
            if after.is_open() {
                let seconds = patience(&situation).as_secs();
                warn!("{name}: no controller for {seconds} seconds, failing open");
            } else {
                warn!("{name}: no longer in fail-open mode");
            }
            self.orders.push_back(Order::FailOpen {
                bridge: name.clone(),
                open: after.is_open(),
            });
        }
    }

    /// Tells rows how their connections do, as far as that is news.
    async fn publish(&mut self) {
        (self.published_at, self.publish_at) = (Instant::now(), None);
        let (mut operations, mut current) = (Vec::new(), HashMap::new());
        let never = ControllerStatus::default();
        for (name, wanted) in &self.desired {
            let bridge = self.bridges.get(name);
            for (target, wanted) in &wanted.controllers {
                let open = bridge.and_then(|bridge| bridge.controllers.get(target));
                let failure = bridge.and_then(|bridge| bridge.failures.get(target));
                let status = match (open, failure) {
                    (Some(open), _) => open.status(),
                    (None, Some(why)) => ControllerStatus::of_failure(why),
                    (None, None) => never.clone(),
                };
                for uuid in &wanted.rows {
                    let published = self.published.get(uuid).unwrap_or(&never);
                    let columns = status.changes(published).into_iter();
                    let row = columns.fold(op::Columns::new(), |row, (c, v)| row.set(c, v));
                    if !row.is_empty() {
                        operations.push(op::update("Controller", *uuid, row));
                    }
                    current.insert(*uuid, status.clone());
                }
            }
        }
        self.published = current;
        if operations.is_empty() {
            return;
        }
        if let Err(error) = self.store.transact(Value::Array(operations)).await {
            debug!(
                "the state of controllers can't be written: {}",
                line(&error)
            );
            self.published.clear();
        }
    }
}

async fn open_controller(
    common: &Common,
    name: &str,
    bridge: &mut Bridge,
    target: &str,
    wanted: &ControllerWanted,
) {
    let opened = match &wanted.remote {
        Ok(remote) => {
            let side = Side::Controller(wanted.settings);
            let label = format!("{name}<->{target}");
            let opened = Open::new(common, &bridge.hub, side, remote, wanted.options, label);
            opened.await.map_err(|error| line(&error))
        }
        Err(why) => Err(why.clone()),
    };
    match opened {
        Ok(mut open) => {
            let kind = if wanted.settings.primary {
                "primary"
            } else {
                "service"
            };
            info!("{name}: added {kind} controller {target:?}");
            if wanted.in_band {
                info!("{name}: connection_mode in-band of {target:?} is treated as out-of-band");
            }
            open.adjust(wanted);
            bridge.failures.remove(target);
            bridge.controllers.insert(target.to_owned(), open);
        }
        Err(why) => {
            let known = bridge.failures.insert(target.to_owned(), why.clone());
            if known.as_ref() != Some(&why) {
                warn!("{name}: controller {target:?} can't be used: {why}");
            }
        }
    }
}
