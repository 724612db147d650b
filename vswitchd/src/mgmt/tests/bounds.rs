//! What bad and greedy clients get.

use super::*;

#[tokio::test]
async fn a_subscriber_that_reads_nothing_is_given_up_with_a_reason() {
    let lab = Lab::new().await;
    let stream = lab.connect().await;
    let mut stream = handshake(stream).await;
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": METHOD_DB_MONITOR,
                         "params": {"tables": {"QoS": {"columns": ["type"]}}}});
    send_frame(&mut stream, &request.to_string()).await;
    while lab.store.usage().await.unwrap().monitors == 0 {
        tokio::task::yield_now().await;
    }
    let megabyte = insert(&"x".repeat(1 << 20));
    let mut sent = 0;
    while lab.store.usage().await.unwrap().monitors > 0 {
        lab.store.transact(json!([megabyte])).await.unwrap();
        sent += 1;
        assert!(sent < 200, "it is never given up");
        tokio::task::yield_now().await;
    }
    assert!(sent > TOO_MANY_MIB, "{sent}");
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while !String::from_utf8_lossy(&all).contains("the subscriber is too slow") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed without a reason");
        let keep = all.len().saturating_sub(200);
        all.drain(..keep);
        all.extend_from_slice(&buffer[..count]);
    }
}

#[tokio::test]
async fn who_asks_without_reading_is_not_read_any_more() {
    let lab = Lab::new().await;
    for method in [METHOD_DB_SCHEMA, "nonsense"] {
        let mut stream = handshake(lab.connect().await).await;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
        let mut sent = 0;
        let patience = Duration::from_millis(500);
        while timeout(patience, send_frame(&mut stream, &request))
            .await
            .is_ok()
        {
            sent += 1;
            assert!(sent < 200_000, "{method}: all of it is read");
        }
        drop(stream);
        gone(&lab).await;
    }
}

/// What a subscriber may leave unread, in MiB.
const TOO_MANY_MIB: usize = 8;

/// Turns a connection into a WebSocket's (RFC 6455 §4).
async fn handshake(mut stream: UnixStream) -> UnixStream {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    stream
}

/// A short text frame with a mask of zeros (RFC 6455 §5.2).
async fn send_frame(stream: &mut UnixStream, text: &str) {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let head = [0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    stream.write_all(&head).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn bad_requests_are_refused_and_disturb_nobody() {
    let lab = Lab::new().await;
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"db_transact\",\"params\":{}",
        "[".repeat(100_000)
    );
    let batch = |calls: usize| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": METHOD_DB_LIST});
        Value::Array(vec![call; calls]).to_string()
    };
    for (body, code) in [
        ("", -32700),
        ("nonsense", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", -32600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}",
            -32601,
        ),
        (&deep, -32700),
        (&batch(101), -32010),
    ] {
        let (status, body) = lab.post(body).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["error"]["code"], code, "{status} {answer}");
    }
    let (_, body) = lab.post(&batch(100)).await;
    assert_eq!(
        serde_json::from_str::<Value>(&body)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        100
    );
    let huge = format!("\"{}\"", "x".repeat(MAX_REQUEST as usize));
    let (status, _) = lab.post(&huge).await;
    assert!(status.contains("413"), "{status}");
    for garbage in [&b"\x16\x03\x01\x00\x00"[..], b"\n\n\n{}{}{}", b"GET"] {
        let mut stream = lab.connect().await;
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let (_, body) = lab
        .post(r#"{"jsonrpc":"2.0","id":1,"method":"db_list","params":[]}"#)
        .await;
    assert!(body.contains("Open_vSwitch"), "{body}");
}

#[tokio::test]
async fn so_many_may_connect_and_the_next_is_told() {
    let lab = Lab::new().await;
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(lab.connect().await);
    }
    let mut refused = lab.connect().await;
    let mut text = String::new();
    refused.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 503") && text.contains("too many connections: 64"),
        "{text}"
    );
    drop(open);
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"db_list"}"#;
    while !lab.post(list).await.1.contains("_Server") {}
}

#[tokio::test]
async fn only_so_many_transactions_wait_at_a_time() {
    let lab = Lab::new().await;
    let mut clients = Vec::new();
    // Fewer each than may be under way, so that their ends are seen at once.
    for _ in 0..database::MAX_TRANSACTIONS.div_ceil(paced::MAX_CALLS - 1) {
        clients.push(lab.client().await);
    }
    let wait = json!([{"op": "wait", "table": "QoS", "where": [], "columns": ["type"],
                       "until": "==", "rows": [{"type": "never"}]}]);
    let (all, wait) = (&clients, &wait);
    let forever = |n: usize| async move {
        let params = object(json!({"operations": wait}));
        let client = &all[n % all.len()];
        client.request::<Value, _>(METHOD_DB_TRANSACT, params).await
    };
    let waiting: Vec<_> = (0..database::MAX_TRANSACTIONS).map(forever).collect();
    let waiting = futures_of(waiting);
    tokio::select! {
        () = waiting => panic!("none may end"),
        () = async {
            while (lab.store.usage().await.unwrap().triggers as usize) < database::MAX_TRANSACTIONS {
                tokio::task::yield_now().await;
            }
            let another = lab.client().await;
            let (code, words, _) = refused(&another, METHOD_DB_TRANSACT, json!({"operations": []})).await;
            assert!(code == ERROR_BUSY && words.contains("128"), "{code} {words}");
        } => {}
    }
    drop(clients);
    gone(&lab).await;
}

/// Ends when one of them does.
async fn futures_of<F: Future>(futures: Vec<F>) {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let ready = pinned
            .iter_mut()
            .any(|f| f.as_mut().poll(context).is_ready());
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
