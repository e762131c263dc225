//! Watching: one line and one count for each request.
//!
//! The outermost layer. It names the request, catches what panics below, writes
//! problems, adds the headers that every answer has, counts and logs. A line holds the
//! method, the route's pattern, the status, the time and the request's id: never a path
//! as it was sent, a query, a body, a token or a whole address.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::App;
use super::accept::Peer;
use super::problem::Problem;
use super::router::Route;

/// Counts and figures.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    figures: Figures,
    names: Names,
}

/// What is looked up when somebody asks for the figures.
struct Figures {
    connections: Gauge<i64, AtomicI64>,
    being_served: Gauge<i64, AtomicI64>,
    log_size: Gauge<i64, AtomicI64>,
    lists: Gauge<i64, AtomicI64>,
    stopped: Gauge<i64, AtomicI64>,
}

/// The figures of one moment.
pub(super) struct Moment {
    pub(super) connections: u64,
    pub(super) being_served: usize,
    pub(super) log_size: u64,
    pub(super) lists: u32,
    pub(super) stopped: Stopped,
}

/// Whether the writer has stopped for good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stopped {
    No,
    Yes,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    method: String,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabels {
    route: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("kabao");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::<RouteLabels, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
        registry.register("http_request_seconds", "Time to the answer's first byte", seconds.clone());
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::<i64, AtomicI64>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let figures = Figures {
            connections: gauge("http_connections", "Open connections"),
            being_served: gauge("http_requests_being_served", "Requests being served"),
            log_size: gauge("log_entries", "Entries of the released log"),
            lists: gauge("status_lists", "Status lists"),
            stopped: gauge("writer_stopped", "1 when the writer has stopped for good"),
        };
        Self { registry, requests, seconds, figures, names: Names::default() }
    }

    /// The figures as Prometheus reads them.
    pub(super) fn text(&self, moment: &Moment) -> String {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.figures.connections.set(whole(moment.connections));
        self.figures.being_served.set(count(moment.being_served));
        self.figures.log_size.set(whole(moment.log_size));
        self.figures.lists.set(i64::from(moment.lists));
        self.figures.stopped.set(i64::from(moment.stopped == Stopped::Yes));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// Gives each request its name: random for this process, counted within it.
struct Names {
    process: u64,
    next: AtomicU64,
}

impl Default for Names {
    fn default() -> Self {
        Self { process: RandomState::new().build_hasher().finish(), next: AtomicU64::new(1) }
    }
}

impl Names {
    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.process >> 32, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The outermost layer.
pub(super) async fn request(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let metrics = app.metrics();
    let name = metrics.names.next();
    let method = request.method().clone();
    let peer = request.extensions().get::<Peer>().map(|peer| masked(peer.0)).unwrap_or_default();
    let private = PRIVATE.iter().any(|prefix| request.uri().path().starts_with(prefix));

    let mut response = caught(next.run(request)).await;
    let route = response.extensions().get::<&'static Route>().copied();
    let mut code = "";
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let problem =
            response.extensions_mut().remove::<Problem>().unwrap_or_else(|| Problem::of_status(status));
        let kept = response.headers().get(axum::http::header::ALLOW).cloned();
        code = problem.code();
        response = problem.written(&name);
        if let Some(allow) = kept {
            response.headers_mut().insert(axum::http::header::ALLOW, allow);
        }
    }
    add_headers(response.headers_mut(), &name, if private { Caching::No } else { Caching::AsSet });

    let pattern = route.map_or("none", |route| route.path);
    let elapsed = started.elapsed();
    let method_name = known(&method);
    let labels = RequestLabels { method: method_name.to_string(), route: pattern, status: status.as_u16() };
    metrics.requests.get_or_create(&labels).inc();
    metrics.seconds.get_or_create(&RouteLabels { route: pattern }).observe(elapsed.as_secs_f64());
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        http.method = method_name,
        http.route = pattern,
        http.status = status.as_u16(),
        problem.code = code,
        duration_ms,
        request = name,
        peer,
        "{method_name} {pattern} {}",
        status.as_u16(),
    );
    response
}

/// The answer, also where making it panics: that is a mistake of ours and ends only this request.
async fn caught(answer: impl Future<Output = Response>) -> Response {
    let outcome = AssertUnwindSafe(answer).catch_unwind().await;
    outcome.unwrap_or_else(|_| Problem::fault().into_response())
}

/// Whether an answer may be kept by caches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Caching {
    AsSet,
    No,
}

fn add_headers(headers: &mut HeaderMap, request: &str, caching: Caching) {
    if caching == Caching::No || !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_DATA));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(value) = HeaderValue::from_str(request) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Methods that somebody made up must not make up new figures.
fn known(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        _ => "OTHER",
    }
}

/// The network of an address, not the address.
fn masked(address: IpAddr) -> String {
    let mut text = String::new();
    let written = match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            write!(text, "{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            write!(text, "{a:x}:{b:x}:{c:x}::/48")
        }
    };
    written.map_or_else(|_| String::new(), |()| text)
}

/// For everything that is not a page: nothing may run or load.
const POLICY_DATA: &str = "default-src 'none'; frame-ancestors 'none'";

/// Whose answers no cache may keep.
const PRIVATE: [&str; 5] = ["/v1/", "/oauth/", "/demo/", "/s/", "/S/"];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// From a millisecond to the longest that a request may take.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_its_network() {
        assert_eq!(masked("203.0.113.77".parse().unwrap()), "203.0.113.0/24");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1::/48");
        assert_eq!(masked("::ffff:203.0.113.77".parse().unwrap()), "203.0.113.0/24");
    }

    #[test]
    fn figures_read_as_prometheus_text() {
        let metrics = Metrics::new();
        let labels = RequestLabels { method: "GET".into(), route: "/v1/x/{y}", status: 200 };
        metrics.requests.get_or_create(&labels).inc();
        let moment = Moment { connections: 1, being_served: 2, log_size: 3, lists: 4, stopped: Stopped::No };
        let text = metrics.text(&moment);
        assert!(
            text.contains(r#"kabao_http_requests_total{method="GET",route="/v1/x/{y}",status="200"} 1"#),
            "{text}"
        );
        assert!(text.contains("kabao_log_entries 3"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_a_problem() {
        let response = caught(async { panic!("on purpose") }).await;
        assert_eq!(response.extensions().get::<Problem>().map(Problem::code), Some("http/fault"));
    }

    #[test]
    fn requests_have_names_of_their_own() {
        let names = Names::default();
        assert_ne!(names.next(), names.next());
    }
}
