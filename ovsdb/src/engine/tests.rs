//! What clients see of batches and of updates that linger.
use std::path::Path;

use tokio::time::advance;

use super::*;
use crate::log::faulty::{FaultyDisk, Kind, NO_SPACE};
use crate::schema::DatabaseSchema;

struct Lab {
    disk: FaultyDisk,
    commands: mpsc::Sender<Command>,
}

type Results = oneshot::Receiver<Vec<Value>>;

impl Lab {
    fn new() -> Self {
        let disk = FaultyDisk::default();
        let schema = DatabaseSchema::vswitch();
        let path = Path::new("/db/conf.db");
        let (log, db) = Log::open_on(Arc::new(disk.clone()), path, &schema).unwrap();
        let (commands, receiver) = mpsc::channel(256);
        tokio::spawn(Engine::new(db, Some(log)).run(receiver));
        Self { disk, commands }
    }

    /// Has a transaction wait for the engine.
    fn queue(&self, operation: Value) -> Results {
        let (reply, results) = oneshot::channel();
        let operations = vec![operation];
        let command = Command::Transact { operations, reply };
        assert!(self.commands.try_send(command).is_ok());
        results
    }

    fn connect(&self, session: SessionId) -> Outgoing {
        let (outbox, outgoing) = outbox();
        let command = Command::Connect { session, outbox };
        assert!(self.commands.try_send(command).is_ok());
        outgoing
    }

    fn request(&self, session: SessionId, method: &str, params: Value) {
        let message = Message::Request {
            method: method.to_owned(),
            params: params.as_array().unwrap().clone(),
            id: json!(session),
        };
        let command = Command::Message { session, message };
        assert!(self.commands.try_send(command).is_ok());
    }
}

fn insert(n: i64) -> Value {
    json!({"op": "insert", "table": "Queue", "row": {"dscp": n}})
}

fn transact(n: i64) -> Value {
    json!(["Open_vSwitch", insert(n)])
}

fn select() -> Value {
    json!({"op": "select", "table": "Queue", "where": [], "columns": ["dscp"]})
}

fn watch() -> Value {
    json!(["Open_vSwitch", null, {"Queue": {"columns": ["dscp"]}}])
}

/// Has the engine do all it can do now.
async fn work() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn received(outgoing: &mut Outgoing) -> Vec<Value> {
    let texts = std::iter::from_fn(|| outgoing.texts.next_within(usize::MAX));
    texts
        .map(|text| serde_json::from_str(&text.parts().concat()).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn transactions_that_come_together_are_written_together() {
    let lab = Lab::new();
    let ops = lab.disk.ops();
    let results: Vec<Results> = (1..9).map(|n| lab.queue(insert(n))).collect();
    for result in results {
        assert!(result.await.unwrap()[0]["uuid"].is_array());
    }
    assert_eq!(lab.disk.ops(), ops + 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_written_has_not_happened() {
    let lab = Lab::new();
    lab.disk.fail_once(Kind::Write, NO_SPACE);
    let mut outgoing = lab.connect(1);
    lab.request(1, "monitor", watch());
    let before = lab.queue(select());
    let refused = [
        lab.queue(insert(1)),
        lab.queue(select()),
        lab.queue(insert(2)),
    ];
    assert_eq!(before.await.unwrap(), [json!({"rows": []})]);
    for results in refused {
        let results = results.await.unwrap();
        assert_eq!(results.len(), 2);
        assert_eq!(results[1]["error"], "I/O error");
    }
    assert!(lab.queue(insert(3)).await.unwrap()[0]["uuid"].is_array());
    let rows = lab.queue(select()).await.unwrap();
    assert_eq!(rows, [json!({"rows": [{"dscp": 3}]})]);
    work().await;
    let told = received(&mut outgoing);
    assert_eq!(
        told.len(),
        2,
        "the monitor's reply and one update: {told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_monitor_starts_between_the_transactions_around_it() {
    let lab = Lab::new();
    let mut outgoing = lab.connect(1);
    let first = lab.queue(insert(1));
    lab.request(1, "monitor", watch());
    let second = lab.queue(insert(2));
    assert!(first.await.is_ok() && second.await.is_ok());
    let told = received(&mut outgoing);
    let new = |json: &Value| json.as_object().unwrap().values().next().unwrap()["new"].clone();
    assert_eq!(new(&told[0]["result"]["Queue"]), json!({"dscp": 1}));
    assert_eq!(new(&told[1]["params"][1]["Queue"]), json!({"dscp": 2}));
}

#[tokio::test(start_paused = true)]
async fn the_author_is_told_before_the_reply_and_others_a_few_at_a_time() {
    let lab = Lab::new();
    let [mut author, mut other] = [1, 2].map(|session| lab.connect(session));
    lab.request(1, "monitor", watch());
    lab.request(2, "monitor", watch());
    work().await;
    received(&mut author);
    assert!(other.texts.recv().await.is_some(), "the reply");
    let woken = tokio::spawn(async move {
        let mut woken = Vec::new();
        while let Some(text) = other.texts.recv().await {
            let more = received(&mut other).len();
            woken.push((text.len() > 20, more));
        }
        woken
    });
    for n in 0..5 {
        lab.request(1, "transact", transact(n));
        work().await;
        let told = received(&mut author);
        assert_eq!(told[0]["method"], "update");
        assert_eq!((told.len(), &told[1]["error"]), (2, &Value::Null));
    }
    advance(Duration::from_millis(2)).await;
    work().await;
    lab.request(1, "transact", transact(5));
    work().await;
    let (reply, closed) = oneshot::channel();
    assert!(lab.commands.try_send(Command::Close { reply }).is_ok());
    assert!(closed.await.is_ok());
    // The first at once, four after a while, the last at once.
    assert_eq!(woken.await.unwrap(), [(true, 0), (true, 3), (true, 0)]);
}
