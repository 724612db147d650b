//! The API over its sockets.

use aorta_api::*;
use aorta_ovsdb::Store;
use jsonrpsee_core::ClientError;
use jsonrpsee_core::client::{ClientT, Subscription, SubscriptionClientT};
use jsonrpsee_core::params::ObjectParams;
use jsonrpsee_core::rpc_params;
use jsonrpsee_ws_client::{WsClient, WsClientBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::*;
use crate::control::{FdbError, Request};
use crate::metrics::SwitchValues;
use crate::reconcile::{Actual, Fdb};
use crate::switch::Switch;
use crate::testing::{FakeDatapath, FakeHost, Rows, link};

mod bounds;
mod metrics;
mod openrpc;

/// A served API with an empty database and a switch that has one bridge.
pub struct Lab {
    dir: tempfile::TempDir,
    pub store: StoreHandle,
    socket: ApiSocket,
    tcp: Option<SocketAddr>,
}

/// A real switch with the bridge `br0` and two ports, on a host that is not.
async fn flow_switch() -> Switch<FakeHost, FakeDatapath> {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    let mut host = FakeHost::default();
    for (ifindex, name) in [(3, "tap0"), (4, "tap1")] {
        rows.simple(br0, name, "");
        host.add(link(ifindex, name));
    }
    let actual = Actual::new("run-test".into());
    let mut switch = Switch::with_model(rows.model, actual, host, FakeDatapath::default());
    switch.configure().await;
    switch
}

/// Answers as a switch with the bridge `br0` does.
fn a_switch() -> Control {
    let (control, mut requests) = Control::new();
    tokio::spawn(async move {
        let mut switch = flow_switch().await;
        while let Some(request) = requests.recv().await {
            match request {
                Request::Status(to) => {
                    let bridge = BridgeStatus {
                        name: "br0".into(),
                        fdb_entries: 1,
                        fdb_size: 8192,
                        flows: 1,
                        ports: vec![],
                    };
                    let _ = to.send((vec![bridge], vec!["trouble".into()]));
                }
                Request::Metrics(to) => {
                    let values = SwitchValues {
                        problems: vec!["trouble".into()],
                        ..SwitchValues::default()
                    };
                    let _ = to.send(Box::new(values));
                }
                Request::Fdb(name, to) => {
                    let entry = Fdb {
                        port: "tap0".into(),
                        ofport: 1,
                        vlan: 10,
                        mac: "02:00:00:00:00:01".into(),
                        age_s: 7,
                    };
                    let known = name == "br0";
                    let _ = to.send(if known {
                        Ok(vec![entry])
                    } else {
                        Err(FdbError::NoBridge(name))
                    });
                }
                Request::Flows(bridge, request) => switch.answer_flows(&bridge, request),
                other => panic!("{other:?}"),
            }
        }
    });
    control
}

impl Lab {
    pub async fn new() -> Lab {
        Lab::with(None).await
    }

    async fn with_tcp() -> Lab {
        // A port that is free now; nothing else takes it from the range of clients so fast.
        let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        Lab::with(Some(address)).await
    }

    async fn with(tcp: Option<SocketAddr>) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_memory();
        let control = a_switch();
        let file = dir.path().join("conf.db");
        let metrics = Source::new(control.clone(), store.clone(), file, "kernel");
        let socket = serve(dir.path(), tcp, control, store.clone(), metrics)
            .await
            .unwrap();
        Lab {
            dir,
            store,
            socket,
            tcp,
        }
    }

    async fn connect(&self) -> UnixStream {
        let path = self.dir.path().join(SOCKET_NAME);
        UnixStream::connect(path).await.unwrap()
    }

    pub async fn client(&self) -> WsClient {
        let builder = WsClientBuilder::default().max_response_size(u32::MAX);
        let stream = self.connect().await;
        builder
            .build_with_stream("ws://localhost", stream)
            .await
            .unwrap()
    }

    /// Sends a request by HTTP; status line and body of the answer.
    async fn post(&self, body: &str) -> (String, String) {
        http(self.connect().await, "localhost", "", body).await
    }
}

async fn http(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    headers: &str,
    body: &str,
) -> (String, String) {
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{headers}\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // What is refused early isn't read to its end.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    )
}

fn object(value: Value) -> ObjectParams {
    let mut params = ObjectParams::new();
    for (name, value) in value.as_object().unwrap() {
        params.insert(name, value).unwrap();
    }
    params
}

async fn call(client: &WsClient, method: &str, params: Value) -> Value {
    client.request(method, object(params)).await.unwrap()
}

/// Code, message and data of the error that a call must end with.
async fn refused(client: &WsClient, method: &str, params: Value) -> (i32, String, Value) {
    let result: Result<Value, _> = client.request(method, object(params)).await;
    let Err(ClientError::Call(error)) = result else {
        panic!("{method}: {result:?}")
    };
    let data = error.data().map_or(Value::Null, |data| {
        serde_json::from_str(data.get()).unwrap()
    });
    (error.code(), error.message().to_owned(), data)
}

fn insert(name: &str) -> Value {
    json!({"op": "insert", "table": "QoS", "row": {"type": name}})
}

#[tokio::test]
async fn the_switch_is_asked_over_a_websocket() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    let status: Status = client.request(METHOD_STATUS, rpc_params![]).await.unwrap();
    assert_eq!(
        (status.pid, status.problems),
        (std::process::id(), vec!["trouble".into()])
    );
    let fdb: Vec<Fdb> = client
        .request(METHOD_FDB, rpc_params!["br0"])
        .await
        .unwrap();
    assert_eq!(fdb[0].port, "tap0");
    let (code, words, _) = refused(&client, METHOD_FDB, json!({"bridge": "br7"})).await;
    assert_eq!((code, &*words), (ERROR_NO_BRIDGE, "no such bridge: br7"));
}

#[tokio::test]
async fn the_database_is_read_and_changed() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    assert_eq!(
        call(&client, METHOD_DB_LIST, json!({})).await,
        json!(["Open_vSwitch", "_Server"])
    );
    assert_eq!(
        call(&client, METHOD_DB_SCHEMA, json!({})).await["name"],
        "Open_vSwitch"
    );
    let server = json!({"database": "_Server"});
    assert_eq!(
        call(&client, METHOD_DB_SCHEMA, server).await["name"],
        "_Server"
    );
    let results = call(
        &client,
        METHOD_DB_TRANSACT,
        json!({"operations": [insert("x")]}),
    )
    .await;
    assert!(results[0]["uuid"].is_array());
    let select = json!([{"op": "select", "table": "QoS", "where": [], "columns": ["type"]}]);
    let rows: Value = client
        .request(METHOD_DB_TRANSACT, rpc_params![&select])
        .await
        .unwrap();
    assert_eq!(rows, json!([{"rows": [{"type": "x"}]}]));
    let rows: Value = client
        .request(METHOD_DB_TRANSACT, rpc_params![&select, "Open_vSwitch"])
        .await
        .unwrap();
    assert_eq!(rows, json!([{"rows": [{"type": "x"}]}]));
}

#[tokio::test]
async fn what_the_database_refuses_is_the_error_s_data() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    let transact = |operations: Value| {
        refused(
            &client,
            METHOD_DB_TRANSACT,
            json!({"operations": operations}),
        )
    };
    let nonsense = json!([insert("x"), {"op": "insert", "table": "QoS", "row": {"nonsense": 1}}]);
    let (code, words, data) = transact(nonsense).await;
    assert_eq!(
        (code, &data["error"], &data["operation"]),
        (ERROR_DATABASE, &json!("unknown column"), &json!(1))
    );
    assert!(words.starts_with("unknown column: "), "{words}");
    let two = json!({"op": "insert", "table": "Open_vSwitch", "row": {}});
    let (_, _, data) = transact(json!([two, two])).await;
    assert_eq!(
        (&data["error"], &data["operation"]),
        (&json!("constraint violation"), &Value::Null)
    );
    let wait = json!([{"op": "wait", "timeout": 0, "table": "QoS", "where": [], "columns": [],
                       "until": "!=", "rows": []}]);
    assert_eq!(transact(wait).await.2["error"], "timed out");
    let nowhere = json!({"database": "nowhere"});
    let (code, _, data) = refused(&client, METHOD_DB_SCHEMA, nowhere).await;
    assert_eq!(
        (code, &data["error"]),
        (ERROR_DATABASE, &json!("unknown database"))
    );
    for (method, params) in [
        (METHOD_DB_TRANSACT, json!({})),
        (METHOD_DB_TRANSACT, json!({"operations": 7})),
        (
            METHOD_DB_TRANSACT,
            json!({"operations": [], "databse": "x"}),
        ),
        (METHOD_DB_SCHEMA, json!({"database": 7})),
        (METHOD_DB_LIST, json!({"x": 1})),
        (METHOD_STATUS, json!({"x": 1})),
        (METHOD_FDB, json!({})),
    ] {
        let (code, words, _) = refused(&client, method, params).await;
        assert!(
            code == -32602 && words.starts_with("Invalid params: "),
            "{method}: {words}"
        );
    }
    assert_eq!(
        lab.store.usage().await.unwrap().sessions,
        0,
        "no call leaves a session behind"
    );
}

async fn subscribe(client: &WsClient, tables: Value) -> Result<Subscription<Value>, ClientError> {
    let params = object(json!({"tables": tables}));
    client
        .subscribe(METHOD_DB_MONITOR, params, METHOD_DB_UNMONITOR)
        .await
}

#[tokio::test]
async fn a_subscriber_gets_contents_first_and_then_each_transaction() {
    let lab = Lab::new().await;
    lab.store.transact(json!([insert("old")])).await.unwrap();
    let client = lab.client().await;
    let tables = json!({"QoS": {"columns": ["type"]}});
    let mut subscription = subscribe(&client, tables.clone()).await.unwrap();
    let rows = |update: &Value| {
        let rows = update["tables"]["QoS"].as_object().unwrap().values();
        rows.map(|row| row["new"]["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = subscription.next().await.unwrap().unwrap();
    assert_eq!(
        (&first["initial"], rows(&first)),
        (&json!(true), vec!["old".to_owned()])
    );
    for names in [vec!["one"], vec!["two", "three"]] {
        let operations: Vec<Value> = names.iter().map(|name| insert(name)).collect();
        lab.store.transact(Value::Array(operations)).await.unwrap();
        let update = subscription.next().await.unwrap().unwrap();
        let mut found = rows(&update);
        found.sort();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(
            (&update["initial"], found),
            (
                &json!(false),
                names.iter().map(|n| (*n).to_owned()).collect()
            )
        );
    }
    assert_eq!(lab.store.usage().await.unwrap().monitors, 1);
    subscription.unsubscribe().await.unwrap();
    gone(&lab).await;
    // A client that leaves takes its subscriptions along.
    let _second = subscribe(&client, tables).await.unwrap();
    assert_eq!(lab.store.usage().await.unwrap().monitors, 1);
    drop(client);
    gone(&lab).await;
}

/// Waits until no session is left.
async fn gone(lab: &Lab) {
    while lab.store.usage().await.unwrap().sessions > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_subscription_is_refused_with_the_reason() {
    let lab = Lab::new().await;
    let client = lab.client().await;
    let refusal = subscribe(&client, json!({"Nonsense": {}}))
        .await
        .unwrap_err();
    let ClientError::Call(error) = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(error.code(), ERROR_DATABASE);
    let mut all = Vec::new();
    for _ in 0..MAX_SUBSCRIPTIONS {
        all.push(subscribe(&client, json!({"QoS": {}})).await.unwrap());
    }
    let refusal = subscribe(&client, json!({"QoS": {}})).await.unwrap_err();
    assert!(refusal.to_string().contains("subscriptions"), "{refusal}");
}

#[tokio::test]
async fn tcp_is_for_programs_of_this_host() {
    let lab = Lab::with_tcp().await;
    let address = lab.tcp.unwrap();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"db_list"}"#;
    let ask = async |host: &str, headers: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        http(stream, host, headers, list).await
    };
    let own = address.to_string();
    for host in [&*own, "localhost"] {
        let (status, body) = ask(host, "").await;
        assert!(
            status.contains("200") && body.contains("_Server"),
            "{status} {body}"
        );
    }
    for (host, headers, words) in [
        ("evil.example", "", "Host"),
        (&*own, "Origin: https://evil.example\r\n", "Origin"),
        (&*own, "Origin: null\r\n", "Origin"),
    ] {
        let (status, body) = ask(host, headers).await;
        assert!(
            status.contains("403") && body.contains(words),
            "{status} {body}"
        );
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}");
    let client = WsClientBuilder::default()
        .build_with_stream(&url, stream)
        .await
        .unwrap();
    assert_eq!(call(&client, METHOD_DB_LIST, json!({})).await[1], "_Server");
}

#[test]
fn addresses_that_others_reach_need_a_second_word() {
    use clap::Parser;
    let address =
        |arguments: &[&str]| tcp_address(&Options::parse_from([&["vswitchd"], arguments].concat()));
    assert!(address(&[]).unwrap().is_none());
    assert!(address(&["--api-listen", "[::1]:6650"]).unwrap().is_some());
    let refused = address(&["--api-listen", "0.0.0.0:6650"])
        .unwrap_err()
        .to_string();
    assert!(refused.contains("--api-allow-remote"), "{refused}");
    assert!(
        address(&["--api-listen", "10.0.0.1:6650", "--api-allow-remote"])
            .unwrap()
            .is_some()
    );
}
