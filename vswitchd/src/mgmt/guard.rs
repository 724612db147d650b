//! Keeps web pages from using a browser to reach the API, and answers who asks for metrics.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::Service;

use crate::metrics::{MEDIA_TYPE, Source, SourceError};

/// Where metrics are.
const METRICS: &str = "/metrics";

/// Who can reach a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Processes that may open the socket's file.
    Host,
    /// Whoever can send to an address, browsers among them.
    Network,
    /// The same, but they get metrics only.
    Scrapers,
}

/// Answers requests that a web page may have caused itself, and hands the others on.
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    peers: Peers,
    metrics: Source,
}

impl<S> Guard<S> {
    /// Before a service.
    pub fn new(inner: S, peers: Peers, metrics: Source) -> Guard<S> {
        Guard {
            inner,
            peers,
            metrics,
        }
    }
}

impl<S, B> Service<HttpRequest<B>> for Guard<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse<HttpBody>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str());
        let host = request.uri().authority().map(|a| Ok(a.as_str()));
        let host = host.or_else(|| header("host"));
        let refusal = match (self.peers, host, header("origin")) {
            (Peers::Host | Peers::Scrapers, ..) => None,
            (Peers::Network, Some(Ok(host)), origin) => {
                let origin = origin.map(|origin| origin.unwrap_or_default());
                refusal(host, origin)
            }
            (Peers::Network, ..) => Some("the Host header is missing"),
        };
        let asked = request.uri().path() == METRICS && request.method() == Method::GET;
        match refusal {
            Some(words) => Box::pin(async move { Ok(forbidden(words)) }),
            None if asked => {
                let metrics = self.metrics.clone();
                Box::pin(async move { Ok(told(metrics.text().await)) })
            }
            None if self.peers == Peers::Scrapers => Box::pin(async { Ok(not_found()) }),
            None => Box::pin(self.inner.call(request)),
        }
    }
}

/// What is asked of the switch, as the answer.
fn told(text: Result<String, SourceError>) -> HttpResponse<HttpBody> {
    let (status, text) = match text {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    };
    let mut response = HttpResponse::new(HttpBody::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn not_found() -> HttpResponse<HttpBody> {
    let mut response = HttpResponse::new(HttpBody::from(format!("there is only {METRICS}\n")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn forbidden(words: &str) -> HttpResponse<HttpBody> {
    let mut response = HttpResponse::new(HttpBody::from(format!("{words}\n")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Why a request isn't served, if it isn't. A page whose name was pointed at this address (DNS
/// rebinding) gives that name as the host; a page of another site gives its own as the origin.
fn refusal(host: &str, origin: Option<&str>) -> Option<&'static str> {
    let name = host_of(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    if !name.eq_ignore_ascii_case("localhost") && address.parse::<IpAddr>().is_err() {
        return Some("the Host header is neither localhost nor an IP address");
    }
    let own = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, from)| from == host)
    };
    if origin.is_some_and(|origin| !own(origin)) {
        return Some("this API is not for web pages of other sites (Origin header)");
    }
    None
}

/// The host without the port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_pages_of_this_host_pass() {
        for host in [
            "localhost",
            "LocalHost:6650",
            "127.0.0.1:80",
            "[::1]:6650",
            "[::1]",
            "10.0.0.1",
        ] {
            assert_eq!(refusal(host, None), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:6650",
            "127.0.0.1.evil.example",
            "",
            ":80",
            "localhost.",
        ] {
            assert!(refusal(host, None).unwrap().contains("Host"), "{host}");
        }
        let own = Some("http://127.0.0.1:6650");
        assert_eq!(refusal("127.0.0.1:6650", own), None);
        for origin in [
            "null",
            "",
            "http://127.0.0.1:80",
            "https://evil.example",
            "127.0.0.1:6650",
        ] {
            let words = refusal("127.0.0.1:6650", Some(origin)).unwrap();
            assert!(words.contains("Origin"), "{origin}");
        }
    }
}
