//! The task that opens and closes remotes, and tells rows how they do.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aorta_ovsdb::{Delta, Remote, RemoteOptions, Setup, StoreError, StoreHandle, Tls, Uuid, op};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::desired::{Desired, Specs, desired, matters, row_tables};
use super::open::Open;
use super::plan::plan;
use super::spec::Spec;
use super::status::RowStatus;
use super::{RemotesConfig, RemotesError};
use crate::errors::line;

/// Open vSwitch tells rows the time so often.
const PERIOD: Duration = Duration::from_millis(2500);
/// Clients that come and go in quick succession are told of in one go.
const PAUSE: Duration = Duration::from_millis(100);
/// How many orders wait before who gives them does.
const QUEUE: usize = 16;

/// What commands may ask for.
#[derive(Debug)]
pub enum Order {
    /// One more remote, until the daemon ends.
    Add(String, oneshot::Sender<Result<(), String>>),
    /// One remote less.
    Remove(String, oneshot::Sender<Result<(), String>>),
    /// All remotes, as they were given.
    List(oneshot::Sender<Vec<String>>),
    /// Close all connections; who was connected comes again.
    Reconnect(oneshot::Sender<()>),
}

/// All remotes; they close with the value.
#[derive(Debug)]
pub struct Remotes {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Drop for Remotes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Remotes {
    /// Opens everything that the command line and the database name, and goes on with what the
    /// database comes to name. `tls` gets the files that they name.
    ///
    /// # Errors
    /// If a remote of the command line makes no sense or its socket can't be had. What rows name
    /// is tried again and again.
    pub async fn start(
        store: &StoreHandle,
        config: RemotesConfig,
        tls: Tls,
    ) -> Result<Self, RemotesError> {
        let (db, deltas) = store.subscribe().await?;
        let mut specs = Specs::new();
        for text in &config.remotes {
            let spec: Spec = text.parse()?;
            spec.check(db.schema())?;
            specs.insert(text.clone(), spec);
        }
        let files = &config.files;
        for file in [&files.private_key, &files.certificate, &files.ca_cert] {
            file.check(db.schema())?;
        }
        drop(db);
        let (orders, receiver) = mpsc::channel(QUEUE);
        let mut work = Work {
            store: store.clone(),
            config,
            specs,
            tables: Vec::new(),
            desired: Desired::default(),
            open: BTreeMap::new(),
            failures: BTreeMap::new(),
            published: HashMap::new(),
            tls,
            activity: Arc::new(Notify::new()),
            publish_at: None,
            published_at: Instant::now(),
        };
        work.refresh().await?;
        if let Some(error) = work.first_failure() {
            return Err(error.into());
        }
        work.publish().await;
        let task = tokio::spawn(work.run(deltas, receiver));
        Ok(Self { orders, task })
    }

    /// Passes an order on; its answer comes through the order itself.
    pub async fn order(&self, order: Order) {
        // Without the task, whoever waits for the answer hears that none will come.
        if self.orders.send(order).await.is_err() {
            debug!("an order came after the end");
        }
    }
}

struct Work {
    store: StoreHandle,
    config: RemotesConfig,
    specs: Specs,
    /// Tables whose rows have remotes.
    tables: Vec<String>,
    desired: Desired,
    open: BTreeMap<String, Open>,
    /// Why those that should be open are not.
    failures: BTreeMap<String, Failure>,
    published: HashMap<Uuid, RowStatus>,
    tls: Tls,
    activity: Arc<Notify>,
    publish_at: Option<Instant>,
    published_at: Instant,
}

/// A remote that could not be opened.
struct Failure {
    text: String,
    error: Option<aorta_ovsdb::ListenError>,
}

impl Work {
    async fn run(
        mut self,
        mut deltas: mpsc::UnboundedReceiver<Arc<Delta>>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let activity = Arc::clone(&self.activity);
        loop {
            let due = self.due();
            let done = tokio::select! {
                delta = deltas.recv() => match delta {
                    Some(delta) => self.rows_changed(&delta, &mut deltas).await,
                    None => return,
                },
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => return,
                },
                () = activity.notified() => {
                    let soon = self.published_at + PAUSE;
                    self.publish_at.get_or_insert(soon);
                    Ok(())
                }
                () = sleep(due), if due.is_some() => self.tick().await,
            };
            if let Err(error) = done {
                warn!("remotes: {}", line(&error));
            }
        }
    }

    /// When rows are to hear something, or a remote is to be tried again.
    fn due(&self) -> Option<Instant> {
        let told = self.desired.remotes.values().any(|w| !w.rows.is_empty());
        let regular = (told || !self.failures.is_empty()).then_some(self.published_at + PERIOD);
        let soon = self.publish_at.filter(|_| told);
        regular.into_iter().chain(soon).min()
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        if !self.failures.is_empty() {
            self.apply().await;
        }
        self.publish().await;
        Ok(())
    }

    async fn rows_changed(
        &mut self,
        first: &Delta,
        more: &mut mpsc::UnboundedReceiver<Arc<Delta>>,
    ) -> Result<(), StoreError> {
        let mut relevant = self.matters(first);
        while let Ok(delta) = more.try_recv() {
            relevant |= self.matters(&delta);
        }
        if relevant {
            self.refresh().await?;
            self.publish().await;
        }
        Ok(())
    }

    fn matters(&self, delta: &Delta) -> bool {
        matters(delta, &self.specs, &self.config.files, &self.tables)
    }

    async fn order(&mut self, order: Order) -> Result<(), StoreError> {
        match order {
            Order::Add(text, to) => {
                let result = self.add(&text).await;
                drop(to.send(result));
            }
            Order::Remove(text, to) => {
                let known = self.specs.remove(&text).is_some();
                self.refresh().await?;
                drop(to.send(known.then_some(()).ok_or("no such remote".to_owned())));
            }
            Order::List(to) => drop(to.send(self.specs.keys().cloned().collect())),
            Order::Reconnect(to) => {
                self.open.values().for_each(Open::disconnect);
                // Whoever asked may have gone.
                let _ = to.send(());
            }
        }
        Ok(())
    }

    async fn add(&mut self, text: &str) -> Result<(), String> {
        let spec: Spec = text.parse().map_err(|e| line(&e))?;
        let db = self.store.snapshot().await.map_err(|e| line(&e))?;
        spec.check(db.schema()).map_err(|e| line(&e))?;
        drop(db);
        let new = self.specs.insert(text.to_owned(), spec).is_none();
        self.refresh().await.map_err(|e| line(&e))?;
        match self.failures.get(text) {
            Some(failure) if new => {
                let words = failure.text.clone();
                self.specs.remove(text);
                self.refresh().await.map_err(|e| line(&e))?;
                Err(words)
            }
            _ => Ok(()),
        }
    }

    /// Reads the database anew, and makes what it says true.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let db = self.store.snapshot().await?;
        let (files, rundir) = (&self.config.files, &self.config.rundir);
        self.desired = desired(&self.specs, files, rundir, &db);
        self.tables = row_tables(&self.specs, &db);
        drop(db);
        self.tls.set_files(self.desired.files.clone());
        self.apply().await;
        Ok(())
    }

    async fn apply(&mut self) {
        let actual = self
            .open
            .iter()
            .map(|(name, open)| (name.clone(), open.options));
        let plan = plan(&self.desired.remotes, &actual.collect());
        for name in plan.close {
            info!("remote {name} is closed");
            self.open.remove(&name);
        }
        for (name, options) in plan.adjust {
            if let Some(open) = self.open.get_mut(&name) {
                open.set_options(options);
            }
        }
        self.failures.retain(|name, _| {
            let wanted = self.desired.remotes.get(name);
            wanted.is_some_and(|wanted| wanted.remote.is_ok())
        });
        for (name, remote, options) in plan.open {
            self.open(name, &remote, options).await;
        }
    }

    async fn open(&mut self, name: String, remote: &Remote, options: RemoteOptions) {
        let setup = Setup {
            options,
            tls: self.tls.clone(),
            group: self.config.group,
            activity: Arc::clone(&self.activity),
            name: None,
        };
        match Open::new(&self.store, remote, setup).await {
            Ok(open) => {
                self.failures.remove(&name);
                self.announce(&name, remote, &open);
                self.open.insert(name, open);
            }
            Err(error) => {
                let text = line(&error);
                let known = self.failures.get(&name).is_some_and(|f| f.text == text);
                if !known {
                    warn!("{text}; it is tried again while the switch runs");
                }
                let error = Some(error);
                self.failures.insert(name, Failure { text, error });
            }
        }
    }

    fn announce(&self, name: &str, remote: &Remote, open: &Open) {
        match open.bound_port() {
            Some(port) => info!("remote {name} is open on port {port}"),
            None if remote.is_passive() => info!("remote {name} is open"),
            None => info!("remote {name}: connecting to it from now on"),
        }
        if remote.is_tls()
            && let Some(problem) = self.tls.problem()
        {
            warn!("{name}: nobody can connect: {}", line(&*problem));
        }
        let wanted = self.desired.remotes.get(name);
        if wanted.is_some_and(|wanted| wanted.in_band) {
            info!("{name}: connection_mode in-band is treated as out-of-band");
        }
    }

    /// Why a remote that is given itself is not open.
    fn first_failure(&mut self) -> Option<aorta_ovsdb::ListenError> {
        let specs = &self.specs;
        let given = |name: &str| matches!(specs.get(name), Some(Spec::Remote(_)));
        let mut failures = self.failures.iter_mut();
        failures.find_map(|(name, failure)| failure.error.take().filter(|_| given(name)))
    }

    /// Tells rows how their remotes do, as far as that is news.
    async fn publish(&mut self) {
        (self.published_at, self.publish_at) = (Instant::now(), None);
        let (mut operations, mut current) = (Vec::new(), HashMap::new());
        let never = RowStatus::default();
        for (name, wanted) in &self.desired.remotes {
            if wanted.rows.is_empty() {
                continue;
            }
            let status = match (&wanted.remote, self.open.get(name)) {
                (Err(why), _) => RowStatus::of_failure(why),
                (Ok(_), Some(open)) => open.status(&self.store).await,
                (Ok(_), None) => {
                    let failure = self.failures.get(name);
                    RowStatus::of_failure(failure.map_or("not open yet", |f| &f.text))
                }
            };
            for (table, uuid) in &wanted.rows {
                let published = self.published.get(uuid).unwrap_or(&never);
                let columns = status.changes(published).into_iter();
                let row = columns.fold(op::Columns::new(), |row, (c, v)| row.set(c, v));
                if !row.is_empty() {
                    operations.push(op::update(table, *uuid, row));
                }
                current.insert(*uuid, status.clone());
            }
        }
        self.published = current;
        if operations.is_empty() {
            return;
        }
        if let Err(error) = self.store.transact(Value::Array(operations)).await {
            debug!("the state of remotes can't be written: {}", line(&error));
            self.published.clear();
        }
    }
}

async fn sleep(due: Option<Instant>) {
    if let Some(due) = due {
        sleep_until(due).await;
    }
}
