//! Metrics over the sockets of the API, and over one of their own.

use super::*;

/// Asks for a path; the whole head and the body of the answer.
async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> (String, String) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn metrics_are_read_where_the_api_is() {
    let lab = Lab::with_tcp().await;
    let (head, body) = get(lab.connect().await, "localhost", "/metrics").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("\naorta_problems 1\n"), "{body}");
    assert!(body.contains("\naorta_ovsdb_sessions "), "{body}");
    let stream = TcpStream::connect(lab.tcp.unwrap()).await.unwrap();
    let (head, _) = get(stream, "evil.example", "/metrics").await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
}

#[tokio::test]
async fn where_only_metrics_are_nothing_else_is_answered() {
    let mut lab = Lab::new().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let address = lab.socket.serve_metrics(any).await.unwrap();
    let connect = || TcpStream::connect(address);
    // Prometheus names hosts as its configuration does.
    let stream = connect().await.unwrap();
    let (head, body) = get(stream, "hypervisor1:9475", "/metrics").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(body.contains("\naorta_problems 1\n"), "{body}");
    let (head, body) = get(connect().await.unwrap(), "localhost", "/").await;
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    assert_eq!(body, "there is only /metrics\n");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"db_list"}"#;
    let (status, _) = http(connect().await.unwrap(), "localhost", "", call).await;
    assert!(status.contains("404"), "{status}");
}
