//! `kabao serve`: the process that serves a vault.
//!
//! It ends on SIGINT or SIGTERM, after what is being served is finished (exit code 0), and
//! by itself when the vault has stopped because the state of the disk is not known (exit
//! code 1): it must then be started again, which finds out.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::config::{Config, Place};
use super::open;
use super::report::{Failure, say};
use crate::http::{self, App, Demo, Limits};
use crate::vault::Vault;
use crate::vault::opening::ClockStep;

/// A server to be run.
#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Place,
    /// Where to listen, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Form of the log on stderr; RUST_LOG says how much
    #[arg(long, value_enum, default_value_t = LogFormat::Json, value_name = "FORM")]
    log_format: LogFormat,
    /// Start although the clock is behind the last entry of the log; that is logged
    #[arg(long)]
    override_clock: bool,
    /// No rate limits: for measuring
    #[arg(long, hide = true)]
    no_rate_limits: bool,
}

/// The forms of the log on stderr.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum LogFormat {
    /// A JSON object on each line.
    Json,
    /// For people.
    Text,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// A signal asked for it.
    Asked,
    /// The vault stopped.
    Stopped,
}

impl Serve {
    /// Runs it.
    pub(super) fn run(self) -> Result<(), Failure> {
        begin_log(self.log_format);
        let config = Config::read(&self.place.dir)?;
        let passphrase = self.place.passphrase.read(config.passphrase_file.as_deref())?;
        let step = if self.override_clock { ClockStep::Override } else { ClockStep::Refuse };
        let vault = open::vault(&config, &passphrase, step)?;
        drop(passphrase);
        let listener = listen(self.listen.as_deref().unwrap_or(&config.listen))?;
        let mut limits = Limits::default();
        if self.no_rate_limits {
            limits.rates = None;
        }
        let app = app(&config, &vault, limits, None);
        match until_end(listener, &config, app, &vault)? {
            Ended::Asked => Ok(()),
            Ended::Stopped => {
                Err(Failure::refused("the vault has stopped: the state of the disk is not known")
                    .hint("look at the disk, then start again: opening finds out what was kept"))
            }
        }
    }
}

/// The vault as a service.
pub(super) fn app(config: &Config, vault: &Arc<Vault>, limits: Limits, demo: Option<Demo>) -> App {
    App::new(Arc::clone(vault), limits, demo).with_backups(&config.backups)
}

/// A listening socket.
pub(super) fn listen(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::unknown(format!("cannot listen on `{address}`: {error}"))
            .hint("give another one with `--listen`")
    })
}

/// Serves until a signal asks to end, or the vault stops.
pub(super) fn until_end(
    listener: TcpListener,
    config: &Config,
    app: App,
    vault: &Arc<Vault>,
) -> Result<Ended, Failure> {
    let failed = |error: std::io::Error| Failure::unknown(format!("cannot serve: {error}"));
    let tls = match &config.tls {
        None => None,
        Some(tls) => {
            let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file(path, &error));
            Some(http::tls(&read(&tls.certificate)?, &read(&tls.key)?).map_err(Failure::refused)?)
        }
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let ended = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (told, heard) = tokio::sync::oneshot::channel();
        let mut signals = Signals::listen()?;
        // Whoever reads this may ask us to end: we listen for that already.
        tracing::info!(
            listen = %listener.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            log.size = vault.health().log_size,
            "serving"
        );
        let watched = Arc::clone(vault);
        let shutdown = async move {
            let ended = tokio::select! {
                () = signals.any() => Ended::Asked,
                () = stopped(&watched) => Ended::Stopped,
            };
            tracing::info!(reason = ?ended, "stopping: what is being served is finished");
            // Nobody listens any more only if the service itself is gone.
            let _ = told.send(ended);
        };
        http::serve(listener, tls, app, shutdown).await;
        Ok::<_, std::io::Error>(heard.await.unwrap_or(Ended::Asked))
    });
    ended.map_err(failed)
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn stopped(vault: &Vault) {
    while !vault.stopped() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Writes the log to stderr from here on.
pub(super) fn begin_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.try_init(),
    };
    if begun.is_err() {
        say("kabao: the log was begun already");
    }
}

/// How often we look whether the vault has stopped.
const LOOK_EVERY: Duration = Duration::from_secs(1);
