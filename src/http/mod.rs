//! The service over HTTP: routes, callers, problems, pages.
//!
//! An [`App`] is an open vault with its limits; [`Running`] serves it. Every request
//! passes, from outside in: [`accept`] (sockets and their deadlines), `observe` (name,
//! count, line, problems), [`limits`] (frequency, room, time, caller and role, size,
//! key), its handler (understand, do, answer), and the vault, which decides.
//!
//! # Reading order
//!
//! [`router`] the table of routes · [`limits`] the gate · [`problem`] what is answered
//! otherwise · `wire` the shapes · the handlers.
//!
//! # Not here
//!
//! No decision of the trade, no key, no disk. What a verb does over HTTP it does on the
//! command line.

pub mod accept;
pub mod demo;
pub mod limits;
pub mod openapi;
pub mod problem;
pub mod router;

mod audit;
mod backups;
mod body;
mod caller;
mod issuer;
mod ndjson;
mod observe;
mod pages;
mod publications;
mod registrations;
mod seats;
mod token;
mod verify;
mod wallet;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::accept::Door;
pub use self::accept::tls;
pub use self::demo::{Demo, Sample};
use self::limits::Gates;
pub use self::limits::{Limits, PerSecond, Rates};
use self::observe::{Metrics, Moment, Stopped};
use self::pages::Pages;
pub use self::problem::Problem;
use crate::vault::Vault;
use crate::vault::opening::WriterHealth;

/// An open vault, ready to be served.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    vault: Arc<Vault>,
    limits: Arc<Limits>,
    gates: Gates,
    metrics: Metrics,
    pages: Pages,
    demo: Option<Demo>,
    backups: Option<PathBuf>,
    open: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl App {
    /// A vault with its limits. With a [`Demo`] only in development mode.
    pub fn new(vault: Arc<Vault>, limits: Limits, demo: Option<Demo>) -> Self {
        let pages = Pages::new(
            &vault.settings().url,
            if demo.is_some() { pages::Mode::Demo } else { pages::Mode::Plain },
        );
        Self(Arc::new(Parts {
            gates: Gates::new(&limits),
            limits: Arc::new(limits),
            vault,
            metrics: Metrics::new(),
            pages,
            demo,
            backups: None,
            open: Arc::default(),
            stop: CancellationToken::new(),
        }))
    }

    /// With a folder into which backups are made. Before the service begins.
    #[must_use]
    pub fn with_backups(mut self, folder: &Path) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.backups = Some(folder.to_owned());
        }
        self
    }

    /// The service without a socket: for tests, and for who has sockets of their own.
    pub fn router(&self) -> axum::Router {
        router::router(self.clone())
    }

    /// Runs a verb of the vault on a thread where it may wait for the disk.
    ///
    /// A request that is given up meanwhile does not stop the verb: what it did is found
    /// by sending the request again.
    async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Vault) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let hand = self.0.gates.hands().acquire_owned().await.map_err(|_| Problem::busy())?;
        let vault = Arc::clone(&self.0.vault);
        let done = tokio::task::spawn_blocking(move || {
            let outcome = verb(&vault);
            drop(hand);
            outcome
        });
        // A verb that panics is a mistake of ours and ends only this request.
        done.await.map_err(|_| Problem::fault())
    }

    /// As [`App::run`], for verbs that decode or draw a picture: few at once, for their memory.
    async fn run_picture<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Vault) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let easel = self.0.gates.easels().acquire_owned().await.map_err(|_| Problem::busy())?;
        // With the verb, not with the request: one that was given up still needs its memory.
        self.run(move |vault| {
            let outcome = verb(vault);
            drop(easel);
            outcome
        })
        .await
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn gates(&self) -> &Gates {
        &self.0.gates
    }

    fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn pages(&self) -> &Pages {
        &self.0.pages
    }

    fn demo(&self) -> Option<&Demo> {
        self.0.demo.as_ref()
    }

    fn backups(&self) -> Option<&Path> {
        self.0.backups.as_deref()
    }

    fn stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    async fn figures(&self) -> Result<String, Problem> {
        let health = self.run(|vault| vault.health()).await?;
        let stopped = match health.writer {
            WriterHealth::Running => Stopped::No,
            WriterHealth::Stopped => Stopped::Yes,
        };
        let moment = Moment {
            connections: self.0.open.load(Ordering::Relaxed),
            being_served: self.0.gates.served_now(&self.0.limits),
            log_size: health.log_size,
            lists: health.lists,
            stopped,
        };
        Ok(self.0.metrics.text(&moment))
    }
}

/// Serves until `shutdown`, then lets what is being served finish.
///
/// Meanwhile the vault is looked after: changed status lists are signed again and what
/// has expired is dropped every few seconds.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: App,
    shutdown: impl Future<Output = ()>,
) {
    let stop = app.0.stop.clone();
    let door = Door { listener, tls, limits: Arc::clone(&app.0.limits), open: Arc::clone(&app.0.open) };
    let keeper = tokio::spawn(keep(app.clone()));
    let doors = door.keep(app.router(), stop.clone());
    let stopper = async {
        shutdown.await;
        stop.cancel();
    };
    tokio::join!(doors, stopper);
    // The keeper saw the same word; a failure of its own was told where it happened.
    let _ = keeper.await;
}

/// What is done from time to time.
async fn keep(app: App) {
    let mut rounds: u32 = 0;
    loop {
        tokio::select! {
            () = app.0.stop.cancelled() => return,
            () = tokio::time::sleep(KEEP_EVERY) => {}
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(TIDY_ROUNDS) {
            app.0.gates.tidy();
        }
        match app.run(|vault| vault.maintain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error.code = error.code(), "the vault could not be looked after")
            }
            Err(problem) => {
                tracing::error!(problem.code = problem.code(), "the vault could not be looked after")
            }
        }
    }
}

/// A service on a thread of its own, for programs that are not asynchronous.
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Begins to serve.
    ///
    /// # Errors
    /// When the socket or the threads cannot be set up.
    pub fn start(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, app: App) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("kabao-http")
            .max_blocking_threads(app.0.limits.hands + SPARE_THREADS)
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("kabao-serve".into()).spawn(move || {
            runtime.block_on(serve(listener, tls, app, async move { stopped.cancelled().await }));
        })?;
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new requests; those being served finish.
    ///
    /// # Errors
    /// When the service had come to grief.
    pub fn stop(self) -> io::Result<()> {
        self.stop.cancel();
        self.thread.join().map_err(|_| io::Error::other("the service came to grief"))
    }

    /// Waits for a signal to end (SIGTERM, SIGINT), then stops.
    ///
    /// # Errors
    /// When signals cannot be heard, or as [`Running::stop`].
    pub fn until_signal(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(signal())?;
        tracing::info!("stopping: requests being served are finished");
        self.stop()
    }
}

async fn signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// How often the vault is looked after: well within the minute in which a list must show a change.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// Rounds of the keeper between two tidyings of the rate tables.
const TIDY_ROUNDS: u32 = 12;

/// Threads for what is not a verb of the vault: names, files.
const SPARE_THREADS: usize = 8;
