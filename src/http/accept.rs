//! The door: accepting connections and ending those that waste them.
//!
//! `axum::serve` installs no timer, and hyper's own begins late, so we accept ourselves.
//! Every state a connection can be in has a deadline: no first byte, TLS not finished,
//! head not finished, idle between requests, reader not reading. What happens inside a
//! request is bounded by `limits`. HTTP/1.1 only: fewer ways to be flooded.
//!
//! A head that is not HTTP, or too long, is answered by hyper itself, bare: 400 or 431 with no
//! body and the connection closed. hyper 1 offers no hook there, so these two are the only
//! answers that are no problem (RFC 9457), are not counted and have no line in the log.
//!
//! When the service stops, the door closes first; then requests being served get their
//! time; then what is left is cut off.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::limits::Limits;
use super::limits::neighbourhood;
use super::seats::{Seat, Seats};

/// The address at the other end of the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// The door.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: Arc<Limits>,
    /// Counts open connections.
    pub(super) open: Arc<AtomicU64>,
}

impl Door {
    /// Lets connections in until `stop`, then drains what is being served.
    pub(super) async fn keep(self, router: Router, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let addresses = Arc::new(Seats::default());
        let cut = CancellationToken::new();
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the client has gone: neither ends the service.
                    tracing::warn!(error.kind = %error.kind(), "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Beyond the bounds a connection is closed at once, which costs us nothing more.
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let seat = addresses.take(neighbourhood(peer.ip()), self.limits.connections_per_address);
            let Some(seat) = seat else { continue };
            self.open.fetch_add(1, Ordering::Relaxed);
            let guest = Guest { _place: place, _seat: seat, open: Arc::clone(&self.open) };
            let connection = Connection {
                tls: self.tls.clone(),
                limits: Arc::clone(&self.limits),
                router: router.clone(),
                peer: Peer(peer.ip()),
                stop: stop.clone(),
            };
            let cut = cut.clone();
            connections.spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    () = connection.serve(stream) => {}
                }
                drop(guest);
            });
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(self.limits.drain, connections.wait()).await.is_err() {
            tracing::warn!("requests were still being served when the service stopped");
            cut.cancel();
            connections.wait().await;
        }
    }
}

/// What a connection takes up while it is open.
struct Guest {
    _place: OwnedSemaphorePermit,
    _seat: Seat<IpAddr>,
    open: Arc<AtomicU64>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection.
struct Connection {
    tls: Option<TlsAcceptor>,
    limits: Arc<Limits>,
    router: Router,
    peer: Peer,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else { return self.speak(stream).await };
        match tokio::time::timeout(self.limits.tls_handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(_)) | Err(_) => tracing::debug!("a TLS handshake was not finished"),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let served = Arc::new(Served::default());
        let watched = Watched::new(stream, Arc::clone(&served), Arc::clone(&self.limits));
        let (router, peer) = (self.router, self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let busy = served.begin();
            let router = router.clone();
            request.extensions_mut().insert(peer);
            async move {
                let response = router.oneshot(request.map(Body::new)).await?;
                // The connection is busy until the answer's last byte, not its first.
                Ok::<_, std::convert::Infallible>(response.map(|body| {
                    body.map_frame(move |frame| {
                        let _ = &busy;
                        frame
                    })
                }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // A second line: our own deadlines are shorter.
            .header_read_timeout(self.limits.header + self.limits.idle)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(watched), service);
        let mut connection = pin!(connection);
        let mut stop = pin!(self.stop.cancelled());
        let mut stopping = false;
        let ended = poll_fn(|context| {
            if !stopping && stop.as_mut().poll(context).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context)
        });
        if let Err(error) = ended.await {
            tracing::debug!(timeout = error.is_timeout(), "a connection ended early");
        }
    }
}

/// How many requests a connection has seen, and how many it is serving.
#[derive(Default)]
struct Served {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Served {
    fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }
}

/// A request being served.
struct Busy(Arc<Served>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Sending the head of a request.
    Head,
    /// Between two requests.
    Idle,
    /// Nothing yet.
    New,
    /// Waiting for an answer; `limits` bounds that.
    Waiting,
}

/// A stream that fails when its deadline has passed.
struct Watched<S> {
    stream: S,
    served: Arc<Served>,
    limits: Arc<Limits>,
    phase: Phase,
    seen: u64,
    deadline: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn new(stream: S, served: Arc<Served>, limits: Arc<Limits>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(limits.first_byte));
        Self { stream, served, limits, phase: Phase::New, seen: 0, deadline, writing: None }
    }

    fn enter(&mut self, phase: Phase) {
        let time = match phase {
            Phase::Head => self.limits.header,
            Phase::Idle => self.limits.idle,
            Phase::New => self.limits.first_byte,
            // Only so that we look again; nothing ends then.
            Phase::Waiting => self.limits.request,
        };
        self.phase = phase;
        self.deadline.as_mut().reset(Instant::now() + time);
    }

    /// Catches up with what the service did since we looked.
    fn look(&mut self) {
        let begun = self.served.begun.load(Ordering::SeqCst);
        let busy = self.served.ended.load(Ordering::SeqCst) < begun;
        let moved = begun != self.seen;
        self.seen = begun;
        match (busy, self.phase) {
            (true, Phase::Waiting) => {}
            (true, _) => self.enter(Phase::Waiting),
            (false, Phase::Waiting) => self.enter(Phase::Idle),
            (false, _) if moved => self.enter(Phase::Idle),
            (false, _) => {}
        }
    }

    /// Counts the time for which the other end does not read.
    fn stalled<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let write = self.limits.write;
        let deadline = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(write)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.look();
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            if buffer.filled().len() > before && matches!(this.phase, Phase::New | Phase::Idle) {
                this.enter(Phase::Head);
            }
            return Poll::Ready(outcome);
        }
        while this.deadline.as_mut().poll(context).is_ready() {
            if this.phase != Phase::Waiting {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            this.enter(Phase::Waiting);
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.stalled(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        this.stalled(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_shutdown(context);
        this.stalled(outcome, context)
    }
}

/// TLS with this chain and key, both PEM; HTTP/1.1 only.
///
/// # Errors
/// When they are not PEM, or do not belong together.
pub fn tls(chain_pem: &[u8], key_pem: &[u8]) -> io::Result<TlsAcceptor> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("the TLS chain is not PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| invalid("the TLS key is not PEM"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| invalid("TLS cannot be set up"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| invalid("the TLS chain and key do not belong together"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// After a connection could not be accepted, so that we do not spin while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Headers of one request; browsers send about twenty.
const HEADERS_MAX: usize = 64;

/// Bytes of a request's head: a token, a key and what browsers add.
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A service with short deadlines, its address, and what stops it.
    async fn open(limits: Limits) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        open_with(limits, None).await
    }

    async fn open_with(
        limits: Limits,
        tls: Option<TlsAcceptor>,
    ) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "slow"
        });
        let router = Router::new().route("/", get(|| async { "here" })).route("/slow", slow);
        let stop = CancellationToken::new();
        let door = Door { listener, tls, limits: Arc::new(limits), open: Arc::default() };
        let kept = tokio::spawn(door.keep(router, stop.clone()));
        (address, stop, kept)
    }

    fn short() -> Limits {
        let moment = Duration::from_millis(50);
        Limits { first_byte: moment, header: moment, idle: moment, write: moment, ..Limits::default() }
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        // An abrupt end is an end too.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let (address, ..) = open(short()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }

    #[tokio::test]
    async fn a_head_that_dribbles_is_closed() {
        let (address, ..) = open(short()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let dribble = async {
            writer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if writer.write_all(b"x: y\r\n").await.is_err() {
                    return;
                }
            }
        };
        let mut text = Vec::new();
        tokio::select! {
            () = dribble => {}
            _ = reader.read_to_end(&mut text) => {}
        }
        assert!(!text.starts_with(b"HTTP/1.1 200"), "it never finished its head");
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests_and_is_closed_when_idle() {
        let (address, ..) = open(short()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(rest(&mut stream).await.matches("here").count(), 2);
    }

    #[tokio::test]
    async fn an_answer_that_takes_longer_than_any_deadline_of_the_socket_arrives() {
        let (address, ..) = open(short()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.ends_with("slow"));
    }

    #[tokio::test]
    async fn tls_is_spoken_and_a_handshake_that_is_not_finished_is_closed() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let acceptor = tls(chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(tls(key.as_bytes(), chain.as_bytes()).is_err());
        let limits = Limits { tls_handshake: Duration::from_millis(300), ..Limits::default() };
        let (address, ..) = open_with(limits, Some(acceptor)).await;

        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(&[0x16, 3, 1]).await.unwrap();
        assert_eq!(rest(&mut half).await, "");

        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        assert!(text.ends_with(b"here"));
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_no_more() {
        let (address, ..) = open(Limits { connections_per_address: 1, ..Limits::default() }).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(first.read_u8().await.is_ok());
        let mut second = TcpStream::connect(address).await.unwrap();
        let _ = second.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(rest(&mut second).await, "");
    }

    #[tokio::test]
    async fn stopping_lets_what_is_being_served_finish_and_nothing_new_in() {
        let (address, stop, kept) = open(short()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
        assert!(rest(&mut stream).await.ends_with("slow"));
        kept.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn framing_that_can_be_read_two_ways_is_refused() {
        let (address, ..) = open(Limits::default()).await;
        for head in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +5\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "x: a\r\n b\r\n",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let text = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}\r\n0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{head:?} {answer:?}");
        }
    }
}
