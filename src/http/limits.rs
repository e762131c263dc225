//! Bounds on what a caller may use: bytes, time, frequency, company.
//!
//! [`address`] counts whoever asks, for whatever. [`gate`] stands before every handler: in
//! this order, and before a byte of the body is read, room for one more request, the
//! caller and the role (`caller`), the frequency by caller, a seat for a stream, the form
//! and declared size of the body, the `Idempotency-Key`. So tokens are checked in the
//! room that there is, and no flood of bad ones takes more. Checks and handler run within
//! the request's time, but for streams and backups: there only the checks do. The room
//! stays taken until the last byte of the answer has left.
//!
//! The address is the socket's. Behind a proxy every caller has the proxy's, so there the
//! proxy limits by address and `Limits::rates` must be wide.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::App;
use super::accept::Peer;
use super::body;
use super::caller;
use super::problem::Problem;
use super::router::{Access, Key, Media, Route};
use super::seats::{Seat, Seats};

/// What the operator allows. The default is for one machine on a public network.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the accepted connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a request's head to its last.
    pub header: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// For a TLS handshake.
    pub tls_handshake: Duration,
    /// For a whole request, but for streams and backups.
    pub request: Duration,
    /// For the next byte of a stream that comes in; twice as long for a whole line.
    pub stream_read: Duration,
    /// For a reader that does not read.
    pub write: Duration,
    /// How long a stopping service waits for requests being served.
    pub drain: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections of one address at once.
    pub connections_per_address: usize,
    /// Requests at once; more are turned away with 503.
    pub requests: usize,
    /// Verbs of the vault at once; more wait.
    pub hands: usize,
    /// Frequencies; `None` limits none, for measuring.
    pub rates: Option<Rates>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            header: Duration::from_secs(5),
            idle: Duration::from_secs(30),
            tls_handshake: Duration::from_secs(5),
            request: Duration::from_secs(15),
            stream_read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            connections: 10_000,
            connections_per_address: 512,
            requests: 2_048,
            hands: 128,
            rates: Some(Rates::default()),
        }
    }
}

/// The classes by which frequency is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rate {
    /// Streams of many rows, and backups: work that takes as long as it takes.
    Batch,
    /// Pictures that cost work.
    Draw,
    /// What everybody may read.
    Public,
    /// Reading one's own.
    Read,
    /// Showing.
    Show,
    /// Asking for tokens.
    Token,
    /// Verifying.
    Verify,
    /// Issuing and changing.
    Write,
}

/// Frequencies by class, for one caller, and by address for everything together.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Everything from one address.
    pub address: PerSecond,
    /// Streams of many rows.
    pub batch: PerSecond,
    /// Pictures that cost work.
    pub draw: PerSecond,
    /// What everybody may read, by address.
    pub public: PerSecond,
    /// Reading one's own.
    pub read: PerSecond,
    /// Showing.
    pub show: PerSecond,
    /// Asking for tokens, by address.
    pub token: PerSecond,
    /// Verifying.
    pub verify: PerSecond,
    /// Issuing and changing.
    pub write: PerSecond,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address: PerSecond::new(2_000, 4_000),
            batch: PerSecond::new(5, 20),
            draw: PerSecond::new(10, 40),
            public: PerSecond::new(500, 2_000),
            read: PerSecond::new(100, 500),
            show: PerSecond::new(5, 20),
            token: PerSecond::new(20, 100),
            verify: PerSecond::new(500, 1_000),
            write: PerSecond::new(500, 1_000),
        }
    }
}

/// So many a second on the whole, and so many at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PerSecond {
    steady: NonZeroU32,
    burst: NonZeroU32,
}

impl PerSecond {
    /// So many a second on the whole, and so many at once; at least one of each.
    pub fn new(steady: u32, burst: u32) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self { steady: at_least_one(steady), burst: at_least_one(burst) }
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.steady).allow_burst(self.burst)
    }
}

/// What counts: the frequencies, and the room for requests.
pub(super) struct Gates {
    rates: Option<Limiters>,
    room: Arc<Semaphore>,
    hands: Arc<Semaphore>,
    easels: Arc<Semaphore>,
    copies: Arc<Semaphore>,
    streams: Arc<Seats<String>>,
    clock: DefaultClock,
}

struct Limiters {
    address: DefaultKeyedRateLimiter<IpAddr>,
    batch: DefaultKeyedRateLimiter<String>,
    draw: DefaultKeyedRateLimiter<String>,
    public: DefaultKeyedRateLimiter<String>,
    read: DefaultKeyedRateLimiter<String>,
    show: DefaultKeyedRateLimiter<String>,
    token: DefaultKeyedRateLimiter<String>,
    verify: DefaultKeyedRateLimiter<String>,
    write: DefaultKeyedRateLimiter<String>,
}

impl Gates {
    pub(super) fn new(limits: &Limits) -> Self {
        let rates = limits.rates.as_ref().map(|rates| Limiters {
            address: DefaultKeyedRateLimiter::dashmap(rates.address.quota()),
            batch: DefaultKeyedRateLimiter::dashmap(rates.batch.quota()),
            draw: DefaultKeyedRateLimiter::dashmap(rates.draw.quota()),
            public: DefaultKeyedRateLimiter::dashmap(rates.public.quota()),
            read: DefaultKeyedRateLimiter::dashmap(rates.read.quota()),
            show: DefaultKeyedRateLimiter::dashmap(rates.show.quota()),
            token: DefaultKeyedRateLimiter::dashmap(rates.token.quota()),
            verify: DefaultKeyedRateLimiter::dashmap(rates.verify.quota()),
            write: DefaultKeyedRateLimiter::dashmap(rates.write.quota()),
        });
        Self {
            rates,
            room: Arc::new(Semaphore::new(limits.requests)),
            hands: Arc::new(Semaphore::new(limits.hands)),
            easels: Arc::new(Semaphore::new(PICTURES_MAX)),
            copies: Arc::new(Semaphore::new(1)),
            streams: Arc::default(),
            clock: DefaultClock::default(),
        }
    }

    /// The hands that do the vault's work.
    pub(super) fn hands(&self) -> Arc<Semaphore> {
        Arc::clone(&self.hands)
    }

    /// Room for pictures that are decoded or drawn.
    pub(super) fn easels(&self) -> Arc<Semaphore> {
        Arc::clone(&self.easels)
    }

    /// Room for one backup at a time.
    pub(super) fn copies(&self) -> Arc<Semaphore> {
        Arc::clone(&self.copies)
    }

    /// How many requests are being served.
    pub(super) fn served_now(&self, limits: &Limits) -> usize {
        limits.requests.saturating_sub(self.room.available_permits())
    }

    /// Counts one request from this address.
    fn address(&self, address: IpAddr) -> Result<(), Problem> {
        let Some(rates) = &self.rates else { return Ok(()) };
        let outcome = rates.address.check_key(&neighbourhood(address));
        outcome.map_err(|until| self.wait(until.wait_time_from(self.clock.now())))
    }

    /// Counts one request of this class for this caller.
    fn class(&self, class: Rate, who: &str) -> Result<(), Problem> {
        let Some(rates) = &self.rates else { return Ok(()) };
        let limiter = match class {
            Rate::Batch => &rates.batch,
            Rate::Draw => &rates.draw,
            Rate::Public => &rates.public,
            Rate::Read => &rates.read,
            Rate::Show => &rates.show,
            Rate::Token => &rates.token,
            Rate::Verify => &rates.verify,
            Rate::Write => &rates.write,
        };
        let outcome = limiter.check_key(&who.to_string());
        outcome.map_err(|until| self.wait(until.wait_time_from(self.clock.now())))
    }

    /// A seat for one more stream of this caller.
    fn stream(&self, who: &str) -> Result<Seat<String>, Problem> {
        self.streams.take(who.to_string(), STREAMS_MAX).ok_or_else(|| Problem::too_many_streams(STREAMS_MAX))
    }

    #[expect(clippy::unused_self, reason = "reads as what the gate answers")]
    fn wait(&self, wait: Duration) -> Problem {
        Problem::too_many(wait.as_secs().saturating_add(1))
    }

    /// Forgets callers that have not been seen for long: the tables would grow without end.
    pub(super) fn tidy(&self) {
        let Some(rates) = &self.rates else { return };
        rates.address.retain_recent();
        for limiter in [
            &rates.batch,
            &rates.draw,
            &rates.public,
            &rates.read,
            &rates.show,
            &rates.token,
            &rates.verify,
            &rates.write,
        ] {
            limiter.retain_recent();
        }
    }
}

/// Counts every request by its address, also one for a path that is not there.
pub(super) async fn address(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.gates().address(peer(&request)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// What stands before every handler.
pub(super) async fn gate(
    State((app, route)): State<(App, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match pass(&app, route, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(route);
    response
}

async fn pass(app: &App, route: &'static Route, request: Request, next: Next) -> Result<Response, Problem> {
    if route.who == Access::Demo && app.demo().is_none() {
        return Err(Problem::no_such_route());
    }
    let room = Arc::clone(&app.gates().room).try_acquire_owned().map_err(|_| Problem::busy())?;
    let time = app.limits().request;
    let (response, seat) = if route.rate == Rate::Batch {
        let checked = tokio::time::timeout(time, check(app, route, request)).await;
        let (request, seat) = checked.map_err(|_| Problem::timeout())??;
        (next.run(request).await, seat)
    } else {
        let whole = async {
            let (request, seat) = check(app, route, request).await?;
            Ok::<_, Problem>((next.run(request).await, seat))
        };
        tokio::time::timeout(time, whole).await.map_err(|_| Problem::timeout())??
    };
    // Room and seat are taken until the body is dropped, which is after its last byte.
    let held = (room, seat);
    Ok(response.map(|inner| {
        Body::new(inner.map_frame(move |frame| {
            let _ = &held;
            frame
        }))
    }))
}

/// Who asks, how often, and what the head says: what is let in, and the seat of a stream.
async fn check(
    app: &App,
    route: &'static Route,
    mut request: Request,
) -> Result<(Request, Option<Seat<String>>), Problem> {
    let who = match route.who {
        Access::Demo | Access::Public => neighbourhood(peer(&request)).to_string(),
        Access::Roles(roles) => {
            let caller = caller::admit(app, request.headers(), roles).await?;
            let who = caller.id.clone();
            request.extensions_mut().insert(caller::Who(caller));
            who
        }
    };
    app.gates().class(route.rate, &who)?;
    check_head(route, &request)?;
    if route.takes.media == Media::Ndjson {
        return Ok((request, Some(app.gates().stream(&who)?)));
    }
    let limited = |inner| Body::new(http_body_util::Limited::new(inner, route.body_max));
    Ok((request.map(limited), None))
}

fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0)
}

/// What a request's head says of its body, and its key.
fn check_head(route: &Route, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let bytes_max = u64::try_from(route.body_max).unwrap_or(u64::MAX);
    if length.is_some_and(|length| length > bytes_max) {
        return Err(Problem::too_large(route.body_max));
    }
    if route.takes.media != Media::Nothing {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let taken = route.takes.media.content_type();
        // The name under which NDJSON was known first is as common as the one it has.
        let other = route.takes.media == Media::Ndjson && essence.eq_ignore_ascii_case("application/ndjson");
        if !essence.eq_ignore_ascii_case(taken) && !other {
            return Err(Problem::content_type(taken));
        }
    }
    let needed = match route.key {
        Key::Keyed => true,
        Key::Optional => headers.contains_key("idempotency-key"),
        Key::Plain => false,
    };
    if needed && body::idempotency_key(headers).is_none() {
        return Err(Problem::key_missing());
    }
    Ok(())
}

/// An address as far as one caller reaches: whole for IPv4, the first 64 bits for IPv6.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
    }
}

/// Pictures decoded or drawn at once: each may need some hundred megabytes.
const PICTURES_MAX: usize = 2;

/// Streams that one caller may have open.
const STREAMS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_is_told_how_long_to_wait() {
        let rates = Rates { verify: PerSecond::new(1, 2), ..Rates::default() };
        let gates = Gates::new(&Limits { rates: Some(rates), ..Limits::default() });
        assert!(gates.class(Rate::Verify, "agency").is_ok());
        assert!(gates.class(Rate::Verify, "agency").is_ok());
        assert_eq!(gates.class(Rate::Verify, "agency").unwrap_err().status().as_u16(), 429);
        assert!(gates.class(Rate::Verify, "another agency").is_ok(), "others are not held up");
        assert!(gates.class(Rate::Read, "agency").is_ok(), "nor other work of the same");
        gates.tidy();
    }

    #[test]
    fn one_ipv6_network_is_one_caller() {
        let near = neighbourhood("2001:db8::1".parse().unwrap());
        assert_eq!(near, neighbourhood("2001:db8::ffff:2".parse().unwrap()));
        assert_ne!(near, neighbourhood("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(neighbourhood("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }
}
