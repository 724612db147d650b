//! The server's side of the protocol, beyond what the usual clients do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use aorta_ovsdb::{Client, ClientError, Datum, Remote, Store, StoreError, op};
use common::{Lab, PATIENCE, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

const DB: &str = "Open_vSwitch";

async fn raw(lab: &Lab, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(lab.socket()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What the server says until it closes the connection.
async fn last_words(mut stream: UnixStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .expect("a close")
        .unwrap();
    text
}

#[tokio::test]
async fn what_is_no_message_is_cut_off_without_a_word() {
    let lab = Lab::new().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"[]",
        b"{\"method\":\"echo\",\"id\":1}",
        b"{\"method\":\"echo\",\"params\":null,\"id\":1}",
        b"{\"method\":\"echo\",\"params\":{},\"id\":1}",
        b"{\"method\":\"echo\",\"params\":[],\"id\":1,}",
        b"{\"x\":\"\xff\"}",
    ] {
        assert_eq!(last_words(raw(&lab, bytes).await).await, "");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(5000));
    assert_eq!(last_words(raw(&lab, deep.as_bytes()).await).await, "");
    let client = lab.client().await;
    client
        .request("echo", json!([1]))
        .await
        .expect("others are not disturbed");
    until("only the last client is left", || lab.clients() == 1).await;
}

#[tokio::test]
async fn requests_may_be_sent_in_one_go_and_in_pieces() {
    let lab = Lab::new().await;
    let text = r#"{"method":"echo","params":["a"],"id":1} {"method":"echo","params":[],"id":null}
        {"method":"nope","params":[],"id":2}{"method":"list_dbs","params":[],"id":3}{"#;
    let mut stream = UnixStream::connect(lab.socket()).await.unwrap();
    for byte in text.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
    }
    stream.write_all(b"]").await.unwrap();
    stream.write_all(b"}").await.unwrap();
    assert!(last_words(stream).await.starts_with(concat!(
        r#"{"id":1,"result":["a"],"error":null}"#,
        r#"{"id":2,"error":"unknown method"}"#,
        r#"{"id":3,"result":["Open_vSwitch","_Server"],"error":null}"#
    )));
}

fn insert_queue(dscp: i64) -> Value {
    json!([op::insert(
        "Queue",
        None,
        op::Columns::new().set("dscp", dscp)
    )])
}

#[tokio::test]
async fn a_client_hears_of_its_own_change_before_the_reply() {
    let lab = Lab::new().await;
    let mut stream = raw(
        &lab,
        br#"{"method":"monitor","params":["Open_vSwitch",null,{"Queue":{"columns":["dscp"]}}],"id":1}
        {"method":"transact","params":["Open_vSwitch",{"op":"insert","table":"Queue","row":{}}],"id":2}"#,
    )
    .await;
    let mut text = String::new();
    while !text.contains("\"id\":2") {
        let mut buffer = [0; 4096];
        let count = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    let (update, reply) = (
        text.find("\"update\"").unwrap(),
        text.find("\"id\":2").unwrap(),
    );
    assert!(update < reply, "{text}");
}

#[tokio::test]
async fn a_wait_is_over_when_it_holds_or_when_time_is_up() {
    let lab = Lab::new().await;
    let wait = |timeout: Value| {
        let mut op = json!({"op": "wait", "table": "Queue", "where": [["dscp", "==", 9]],
                            "columns": ["dscp"], "until": "==", "rows": [{"dscp": 9}]});
        if !timeout.is_null() {
            op["timeout"] = timeout;
        }
        json!([op])
    };
    let waiting = lab.client().await;
    let task = tokio::spawn(async move { waiting.transact(DB, wait(Value::Null)).await });
    let client = lab.client().await;
    let error = client.transact(DB, wait(json!(30))).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Transaction(StoreError::Refused { error, .. })
                     if error == "timed out")
    );
    assert!(!task.is_finished());
    client.transact(DB, insert_queue(9)).await.unwrap();
    timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_blocked_transaction_can_be_cancelled() {
    let lab = Lab::new().await;
    let block = r#"{"method":"set_db_change_aware","params":[true],"id":0}
        {"method":"transact","params":["Open_vSwitch",{"op":"wait","table":"Queue","where":[],
         "columns":[],"until":"!=","rows":[]}],"id":7}
        {"method":"cancel","params":[7],"id":null}{"method":"echo","params":[],"id":8}[]"#;
    let text = last_words(raw(&lab, block.as_bytes()).await).await;
    assert!(text.contains(r#"{"id":7,"error":"canceled"}"#), "{text}");
}

#[tokio::test]
async fn a_client_may_wait_for_many_things_but_not_without_end() {
    let lab = Lab::new().await;
    let wait = |id: usize| {
        json!({"method": "transact", "id": id, "params": [DB, {"op": "wait", "table": "Queue",
               "where": [], "columns": [], "until": "!=", "rows": []}]})
        .to_string()
    };
    let requests: String = (0..101).map(wait).collect();
    let text = last_words(raw(&lab, format!("{requests}{}[]", wait(5)).as_bytes()).await).await;
    assert!(
        text.contains(r#"{"id":100,"error":{"details":"100 transactions wait already""#),
        "{text}"
    );
    assert!(
        text.contains(r#""details":"transact: duplicate request ID""#),
        "{text}"
    );
    assert_eq!(text.matches("\"id\"").count(), 2, "{text}");
}

#[tokio::test]
async fn locks_pass_from_client_to_client() {
    let lab = Lab::new().await;
    let [a, b, c] = [lab.client().await, lab.client().await, lab.client().await];
    let locked = |yes: bool| json!({"locked": yes});
    assert_eq!(a.request("lock", json!(["l"])).await.unwrap(), locked(true));
    assert_eq!(
        b.request("lock", json!(["l"])).await.unwrap(),
        locked(false)
    );
    assert!(a.request("lock", json!(["l"])).await.is_err());
    let assert = json!([{"op": "assert", "lock": "l"}]);
    a.transact(DB, assert.clone()).await.unwrap();
    assert!(b.transact(DB, assert.clone()).await.is_err());
    assert_eq!(
        c.request("steal", json!(["l"])).await.unwrap(),
        locked(true)
    );
    assert_eq!(
        timeout(PATIENCE, a.notified())
            .await
            .unwrap()
            .unwrap()
            .method,
        "stolen"
    );
    drop(c);
    assert_eq!(
        timeout(PATIENCE, a.notified())
            .await
            .unwrap()
            .unwrap()
            .method,
        "locked"
    );
    a.request("unlock", json!(["l"])).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, b.notified())
            .await
            .unwrap()
            .unwrap()
            .method,
        "locked"
    );
    b.transact(DB, assert).await.unwrap();
    assert!(a.request("unlock", json!(["l"])).await.is_err());
}

#[tokio::test]
async fn the_server_database_can_be_read_and_not_written() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    let select = json!([op::select(
        "Database",
        json!([["name", "==", DB]]),
        &["schema", "leader"]
    )]);
    let results = client.transact("_Server", select).await.unwrap();
    let row = &results[0]["rows"][0];
    assert_eq!(row["leader"], true);
    let schema: Value = serde_json::from_str(row["schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["version"], "8.3.1");
    let delete = json!([{"op": "delete", "table": "Database", "where": []}]);
    let error = client.transact("_Server", delete).await.unwrap_err();
    assert!(error.to_string().starts_with("not allowed"), "{error}");
}

#[tokio::test]
async fn monitors_are_cancelled_and_unknown_ones_refused() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    let all = json!({"Queue": {"columns": ["dscp"]}});
    client.monitor(DB, "m", all.clone()).await.unwrap();
    assert!(
        client.monitor(DB, "m", all.clone()).await.is_err(),
        "an id is used once"
    );
    let since = client
        .request(
            "monitor_cond_since",
            json!([DB, "n", {"Queue": [{"columns": []}]},
        "00000000-0000-0000-0000-000000000000"]),
        )
        .await
        .unwrap();
    assert_eq!(
        since,
        json!([false, "00000000-0000-0000-0000-000000000000", {}])
    );
    client
        .request("monitor_cancel", json!(["m"]))
        .await
        .unwrap();
    client.transact(DB, insert_queue(1)).await.unwrap();
    let heard = timeout(PATIENCE, client.notified()).await.unwrap().unwrap();
    assert_eq!(
        (heard.method.as_str(), &heard.params[0]),
        ("update3", &json!("n"))
    );
    let error = client
        .request("monitor_cancel", json!(["m"]))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Request { error, .. } if error == "unknown monitor"));
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody() {
    let lab = Lab::new().await;
    let mut greedy = UnixStream::connect(lab.socket()).await.unwrap();
    let request = r#"{"method":"get_schema","params":["Open_vSwitch"],"id":1}"#.repeat(20_000);
    let pushing = tokio::spawn(async move {
        // Ends when the server stops reading, which is the point.
        let _ = timeout(Duration::from_secs(5), greedy.write_all(request.as_bytes())).await;
        greedy
    });
    let client = lab.client().await;
    for n in 0..20 {
        timeout(PATIENCE, client.transact(DB, insert_queue(n)))
            .await
            .expect("an answer")
            .unwrap();
    }
    pushing.abort();
}

#[tokio::test]
async fn tcp_serves_too() {
    let lab = Lab::new().await;
    let remote: Remote = "ptcp:0:127.0.0.1".parse().unwrap();
    let listener = lab.store.listen(&remote).await.unwrap();
    let port = listener.address().unwrap().port();
    let client = Client::connect(&format!("tcp:127.0.0.1:{port}"))
        .await
        .unwrap();
    assert_eq!(&*client.get_schema(DB).await.unwrap().version, "8.3.1");
    assert_eq!(listener.clients(), 1);
    drop(listener);
    let lost = timeout(PATIENCE, client.notified()).await.unwrap();
    assert_eq!(lost, None, "the listener takes its connections along");
}

#[tokio::test]
async fn a_socket_is_private_and_taken_once_and_a_dead_one_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new().await;
    let mode = std::fs::metadata(lab.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = lab.store.listen(&Remote::ListenUnix(lab.socket())).await;
    assert!(again.is_err(), "somebody listens there");
    let dead = lab.directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let listener = lab
        .store
        .listen(&Remote::ListenUnix(dead.clone()))
        .await
        .unwrap();
    Client::connect(&format!("unix:{}", dead.display()))
        .await
        .unwrap();
    drop(listener);
    assert!(!dead.exists());
}

#[tokio::test]
async fn an_embedder_hears_of_every_change_in_order() {
    let lab = Lab::new().await;
    let (db, mut changes) = lab.store.subscribe().await.unwrap();
    assert_eq!(db.rows("Queue").count(), 0);
    let client = lab.client().await;
    for dscp in 0..5 {
        client.transact(DB, insert_queue(dscp)).await.unwrap();
    }
    for dscp in 0..5 {
        let delta = timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        let change = delta.of("Queue").next().unwrap();
        let row = change.new.as_ref().unwrap();
        assert_eq!((change.old.is_none(), row.int("dscp")), (true, Some(dscp)));
    }
    let uuid = lab
        .store
        .snapshot()
        .await
        .unwrap()
        .rows("Queue")
        .next()
        .unwrap()
        .uuid();
    let row = op::Columns::new().set("external_ids", Datum::map([("a", "b")]));
    let results = lab
        .store
        .transact(json!([op::update("Queue", uuid, row)]))
        .await
        .unwrap();
    assert_eq!(results, [json!({"count": 1})]);
    let delta = timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
    let change = &delta.changes[0];
    assert!(change.uuid == uuid && change.changed("external_ids") && !change.changed("dscp"));
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let lab = Lab::new().await;
    let durable = json!([
        op::insert("Queue", None, op::Columns::new().set("dscp", 5i64)),
        op::durable()
    ]);
    let (a, b) = tokio::join!(
        lab.store.transact(durable.clone()),
        lab.store.transact(durable)
    );
    assert!(a.is_ok() && b.is_ok());
    let path = lab.file();
    let directory = lab.close().await;
    let store = Store::open(&path).unwrap();
    assert_eq!(store.snapshot().await.unwrap().rows("Queue").count(), 2);
    drop(directory);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let store = Store::in_memory();
    store.transact(insert_queue(1)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(
        store.transact(insert_queue(2)).await,
        Err(StoreError::Closed)
    );
    assert!(store.snapshot().await.is_err());
}
