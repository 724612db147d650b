//! A server process that is killed in the middle of commits, compactions and conversions, and
//! clients that remember what they were told is done. `AORTA_CRASH_KILLS` says how many times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use aorta_ovsdb::{DatabaseSchema, Db, Remote, Store, log};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients that commit. One more converts.
const CLIENTS: usize = 4;
/// After so many kills the database is a new one.
const KILLS_PER_FILE: usize = 20;
/// Directory of the database, for the process that serves it.
const SERVE: &str = "AORTA_CRASH_SERVE";

/// Serves a database that is compacted all the time, until it is killed.
fn serve(directory: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let store = Store::open(&directory.join("conf.db")).unwrap();
        let remote = Remote::ListenUnix(directory.join("db.sock"));
        let _listener = store.listen(&remote).await.unwrap();
        loop {
            if let Err(error) = store.compact().await {
                break error;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    panic!("{ended}");
}

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    /// How many transactions of a client with this name are done.
    done: BTreeMap<String, usize>,
    /// Number of the newest schema.
    schema: u64,
    count: usize,
}

#[derive(Debug, Default)]
struct Record {
    told: Mutex<Told>,
    more: Condvar,
}

impl Record {
    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock().unwrap();
        change(&mut told);
        told.count += 1;
        self.more.notify_all();
    }

    /// Waits until clients were told so many things more.
    fn wait_for(&self, more: usize) {
        let told = self.told.lock().unwrap();
        let enough = told.count + more;
        let waited = self
            .more
            .wait_timeout_while(told, PATIENCE, |told| told.count < enough);
        assert!(!waited.unwrap().1.timed_out(), "the server does nothing");
    }
}

struct Connection {
    stream: UnixStream,
    replies: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<io::BufReader<UnixStream>>,
        Value,
    >,
}

impl Connection {
    fn new(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let reader = io::BufReader::new(stream.try_clone()?);
        let replies = serde_json::Deserializer::from_reader(reader).into_iter();
        let mut connection = Self { stream, replies };
        connection.call("set_db_change_aware", &json!([true]))?;
        Ok(connection)
    }

    /// The reply's result; an error once the server is gone.
    fn call(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        let request = json!({"id": 1, "method": method, "params": params});
        self.stream.write_all(request.to_string().as_bytes())?;
        let reply = self.replies.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        // A conversion ends nothing that these clients want.
        let refusal = reply["error"].as_str().map(str::to_owned);
        assert!(refusal.is_none() && reply["error"].is_null(), "{reply}");
        Ok(reply["result"].clone())
    }
}

/// Commits one transaction after the other, of two rows each, until the server is gone.
fn commit(socket: &Path, name: &str, record: &Record) -> io::Result<()> {
    let mut connection = Connection::new(socket)?;
    for n in 1.. {
        let half = |half: &str| {
            let ids = json!(["map", [["by", name], ["n", n.to_string()], ["half", half]]]);
            json!({"op": "insert", "table": "Queue", "row": {"external_ids": ids}})
        };
        let durable = json!({"op": "commit", "durable": n % 3 != 0});
        let params = json!(["Open_vSwitch", half("first"), durable, half("second")]);
        let result = connection.call("transact", &params)?;
        let results = result.as_array().unwrap();
        assert!(results.iter().all(|r| r.get("error").is_none()), "{result}");
        record.tell(|told| {
            told.done.insert(name.to_owned(), n);
        });
    }
    Ok(())
}

fn schema(number: u64) -> Value {
    let mut json = DatabaseSchema::vswitch().to_json().clone();
    json["version"] = json!(format!("8.9.{number}"));
    let novelty = format!("novelty{}", number % 3);
    json["tables"]["Queue"]["columns"][novelty] = json!({"type": "integer"});
    json
}

/// Converts the database again and again until the server is gone.
fn convert(socket: &Path, record: &Record) -> io::Result<()> {
    let mut connection = Connection::new(socket)?;
    loop {
        let number = record.told.lock().unwrap().schema + 1;
        // Between two, there are commits.
        let pause = Instant::now() + Duration::from_millis(number % 16);
        while Instant::now() < pause {
            connection.call("echo", &json!([]))?;
        }
        connection.call("convert", &json!(["Open_vSwitch", schema(number)]))?;
        record.tell(|told| told.schema = number);
    }
}

/// A database file and what was promised to be in it.
struct Scene {
    directory: TempDir,
    record: Arc<Record>,
    kills: usize,
}

/// What kills met.
#[derive(Debug, Default)]
struct Met {
    commits: usize,
    compactions: usize,
    torn: usize,
    conversions: u64,
}

impl Scene {
    fn new() -> Self {
        let (directory, record) = (TempDir::new().unwrap(), Arc::default());
        Self {
            directory,
            record,
            kills: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> Child {
        let _ = std::fs::remove_file(self.path("db.sock"));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "a_kill_loses_nothing_that_was_promised",
            "--nocapture",
        ]);
        command
            .env(SERVE, self.directory.path())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let start = Instant::now();
        while UnixStream::connect(self.path("db.sock")).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the server has ended");
            assert!(start.elapsed() < PATIENCE, "the server doesn't start");
            std::thread::yield_now();
        }
        child
    }

    /// Lets clients do so many things, kills the server a moment later, and looks at what it has
    /// left.
    fn kill(&mut self, things: usize, moment: Duration, met: &mut Met) {
        self.kills += 1;
        let mut child = self.start();
        let clients: Vec<_> = (0..=CLIENTS)
            .map(|client| {
                let (socket, record) = (self.path("db.sock"), Arc::clone(&self.record));
                let name = format!("{}.{client}", self.kills);
                std::thread::spawn(move || match client {
                    0 => convert(&socket, &record),
                    _ => commit(&socket, &name, &record),
                })
            })
            .collect();
        self.record.wait_for(things);
        let end = Instant::now() + moment;
        while Instant::now() < end {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            client.join().unwrap().unwrap_err();
        }
        self.check(met);
    }

    fn check(&self, met: &mut Met) {
        let path = self.path("conf.db");
        let bytes = std::fs::read(&path).unwrap();
        let db = log::parse_log(&path, &bytes).unwrap_or_else(|error| panic!("{error:?}"));
        met.torn += usize::from(log::Reader::new(&bytes).any(|record| record.is_err()));
        met.compactions += usize::from(self.path("conf.db.tmp").exists());
        let told = self.record.told.lock().unwrap();
        met.commits = told.done.values().sum();
        met.conversions = told.schema;
        db.audit().unwrap();
        let there = transactions(&db);
        for (name, done) in &told.done {
            let numbers = there.get(name).cloned().unwrap_or_default();
            assert!(
                numbers.len() >= *done,
                "{name}: {done} promised, {numbers:?} there"
            );
            let all: BTreeSet<usize> = (1..=numbers.len()).collect();
            assert_eq!(numbers, all, "{name} has a gap");
        }
        let version = &db.schema().version;
        let number = version
            .strip_prefix("8.9.")
            .map_or(0, |n| n.parse().unwrap());
        assert!(
            number >= told.schema,
            "schema {} promised, {number} there",
            told.schema
        );
        drop(told);
        self.record.told.lock().unwrap().schema = number;
    }
}

/// The numbers of the transactions of each client; each is there with both of its rows.
fn transactions(db: &Db) -> BTreeMap<String, BTreeSet<usize>> {
    let mut halves: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for row in db.rows("Queue") {
        let id = |key| row.map_get("external_ids", key).unwrap();
        *halves
            .entry((id("by").to_owned(), id("n").parse().unwrap()))
            .or_default() += 1;
    }
    let mut all: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for ((name, n), count) in halves {
        assert_eq!(count, 2, "transaction {n} of {name} is there by half");
        all.entry(name).or_default().insert(n);
    }
    all
}

#[test]
fn a_kill_loses_nothing_that_was_promised() {
    if let Ok(directory) = std::env::var(SERVE) {
        return serve(Path::new(&directory));
    }
    let kills: usize = std::env::var("AORTA_CRASH_KILLS").map_or(50, |n| n.parse().unwrap());
    let mut total = Met::default();
    let mut done = 0;
    while done < kills {
        let mut scene = Scene::new();
        let mut met = Met::default();
        for _ in 0..KILLS_PER_FILE.min(kills - done) {
            // Anything from the first to what takes some compactions.
            let random = aorta_ovsdb::Uuid::new_v4();
            let [things, moment] = [0, 1].map(|byte| random.as_bytes()[byte]);
            let moment = Duration::from_micros(16 * u64::from(moment));
            scene.kill(usize::from(things) % 100, moment, &mut met);
            done += 1;
        }
        total.commits += met.commits;
        total.conversions += met.conversions;
        total.compactions += met.compactions;
        total.torn += met.torn;
    }
    println!(
        "{done} kills: {} within a compaction, {} within a record; {} commits and {} conversions \
         promised, none lost",
        total.compactions, total.torn, total.commits, total.conversions
    );
    assert!(total.commits > 10 * kills && total.conversions > 0 && total.compactions > 0);
}
