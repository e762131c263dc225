//! The vault's own work, measured.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use serde_json::json;

use super::{rate, repeat};
use crate::cli::client::{self, Api};
use crate::cli::report::Failure;
use crate::cli::trusted::{Anchors, Trusted};
use crate::cli::{city, demo, init, sample, serve, verify};
use crate::domain::lifecycle::{ChangeKind, ReasonCode};
use crate::domain::number::CertificateIdentifier;
use crate::domain::verdict::Decision;
use crate::http::{Limits, Running};
use crate::keys::Signer;
use crate::keys::random::{self, SystemRandom};
use crate::keys::soft::SoftSigner;
use crate::vault::Vault;
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::guard::Caller;
use crate::vault::issue::IssueOrder;
use crate::vault::lifecycle::ChangeOrder;
use crate::vault::showing::{OfflineOrder, ShowItem, ShowOrder};
use crate::vault::token::{SECONDS_MAX, Subject};

/// A vault to be measured.
pub(super) struct Bench {
    vault: Arc<Vault>,
    config: crate::cli::config::Config,
    officer: Caller,
    listener: std::net::TcpListener,
}

impl Bench {
    /// A new one.
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let listener = serve::listen("127.0.0.1:0")?;
        let address =
            listener.local_addr().map_err(|error| Failure::unknown(format!("cannot listen: {error}")))?;
        let place = dir.join("vault");
        city::found(&place, &format!("http://{address}"), &address.to_string())?;
        let (config, vault) = city::open(&place)?;
        let officer = city::officer(&city::departments()[0])?;
        Ok(Self { vault, config, officer, listener })
    }

    fn orders(&self, first: u64, count: u32) -> Result<Vec<IssueOrder>, Failure> {
        let kind =
            self.vault.catalog().by_slug(TYPE).ok_or_else(|| Failure::refused("no type to measure with"))?;
        let today = city::today();
        Ok((first..first + u64::from(count)).map(|n| sample::order(kind, n, today)).collect())
    }

    /// Issues in bulk on every core: certificates in a second.
    pub(super) fn issue(&self, count: u32) -> Result<f64, Failure> {
        let chunks: Vec<Vec<IssueOrder>> = self.orders(1, count)?.chunks(CHUNK).map(<[_]>::to_vec).collect();
        let since = Instant::now();
        self.shared(chunks, |chunk| {
            self.vault
                .issue_many(&self.officer, chunk)
                .into_iter()
                .try_for_each(|issued| issued.map(|_| ()).map_err(Failure::from))
        })?;
        Ok(rate(count, since))
    }

    /// One client, one certificate at a time: certificates in a second.
    pub(super) fn issue_serially(&self, count: u32) -> Result<f64, Failure> {
        let orders = self.orders(30_000_000, count)?;
        let since = Instant::now();
        for order in orders {
            self.vault.issue(&self.officer, order)?;
        }
        Ok(rate(count, since))
    }

    fn issued(&self, first: u64, count: u32) -> Result<Vec<CertificateIdentifier>, Failure> {
        let issued = self.vault.issue_many(&self.officer, self.orders(first, count)?);
        issued.into_iter().map(|issued| Ok(issued?.identifier)).collect()
    }

    /// Revocations in a second, many officers at once.
    pub(super) fn revoke(&self, count: u32) -> Result<f64, Failure> {
        let identifiers = self.issued(40_000_000, count)?;
        let since = Instant::now();
        self.shared(identifiers, |identifier| {
            let order = ChangeOrder {
                kind: ChangeKind::Revoke,
                reason: ReasonCode::Sanction,
                legal_basis: "bench".into(),
                effective_at: None,
                request: None,
            };
            self.vault.change(&self.officer, &identifier, order).map(|_| ()).map_err(Failure::from)
        })?;
        Ok(rate(count, since))
    }

    /// Verifications over HTTP in a second, and what a bare route reaches with the same bytes.
    pub(super) fn verify_online(&self, count: u32) -> Result<(f64, f64), Failure> {
        let person = city::person(0);
        let kind =
            self.vault.catalog().by_slug(TYPE).ok_or_else(|| Failure::refused("no type to measure with"))?;
        let order = sample::order_for(kind, 50_000_000, city::today(), vec![person.clone()]);
        let identifier = self.vault.issue(&self.officer, order)?.identifier;
        let holder = demo::holder(&self.vault, &person.code)?;
        let limits = Limits { rates: None, ..Limits::default() };
        let app = serve::app(&self.config, &self.vault, limits, None);
        let failed = |error: std::io::Error| Failure::unknown(format!("cannot serve: {error}"));
        let running =
            Running::start(self.listener.try_clone().map_err(failed)?, None, app).map_err(failed)?;
        let codes = std::sync::Mutex::new(Vec::new());
        self.shared((0..count).collect(), |_| {
            let order = ShowOrder {
                items: vec![ShowItem { identifier: identifier.clone(), fields: None }],
                scenario: Some(SCENARIO.into()),
                agency: None,
                purpose: "bench".into(),
                continues: None,
            };
            let shown = self.vault.show(&holder, order)?;
            codes.lock().map_err(|_| Failure::unknown("a thread came to grief"))?.push(shown.code);
            Ok(())
        })?;
        let codes = codes.into_inner().map_err(|_| Failure::unknown("a thread came to grief"))?;
        let clerk = init::clerk_id(&city::agencies()[3].uscc);
        let minted = self.vault.mint_token(&Subject::Registration(clerk), SECONDS_MAX)?.token;
        let api = Api::minting(&self.config.url, move || Ok(minted.clone()))?;
        let measured = client::wait(async {
            let sizes = AtomicU32::new(0);
            let since = Instant::now();
            let mut calls = stream::iter(&codes)
                .map(|code| ask(&api, "/v1/verifications", code))
                .buffer_unordered(AT_ONCE);
            while let Some(answer) = calls.next().await {
                sizes.store(answer?, Ordering::Relaxed);
            }
            let online = rate(count, since);
            Ok((online, bare_route(sizes.into_inner(), &codes).await?))
        });
        running.stop().map_err(failed)?;
        measured
    }

    /// Offline codes judged in a second, and bare verifications of a signature in a second; one core.
    pub(super) fn verify_offline(&self, span: Duration) -> Result<(f64, f64), Failure> {
        let person = city::person(1);
        let kind =
            self.vault.catalog().by_slug(TYPE).ok_or_else(|| Failure::refused("no type to measure with"))?;
        let order = sample::order_for(kind, 60_000_000, city::today(), vec![person.clone()]);
        let identifier = self.vault.issue(&self.officer, order)?.identifier;
        let holder = demo::holder(&self.vault, &person.code)?;
        let code = self.vault.show_offline(&holder, OfflineOrder { identifier, fields: None })?.text;
        let (anchors, at) = (Anchors::for_development(), SystemClock.now());
        let bundle = anchors.verify(&self.vault.trust_bundle()?, at)?;
        let trusted = Trusted::new(bundle, 24 * 3600, at);
        let known = crate::credential::show_key::KnownShowKeys::default();
        let offline =
            repeat(span, || match verify::judge_code(&code, &trusted, &known, &anchors, at)?.0.decision() {
                Decision::Accepted => Ok(()),
                _ => Err(Failure::unknown("the offline code is not accepted")),
            })?;
        let seed: [u8; 32] = random::bytes(&SystemRandom::new())?;
        let signer = SoftSigner::ed25519(&seed);
        let message = vec![7; 400];
        let signature = signer.sign(&message).map_err(Failure::unknown)?;
        let bare = repeat(span, || match signer.public_key().verify(&message, &signature) {
            true => Ok(()),
            false => Err(Failure::unknown("a signature does not verify")),
        })?;
        Ok((offline, bare))
    }

    /// Seconds from one bit changed to the signed list.
    pub(super) fn sign_list(&self) -> Result<f64, Failure> {
        self.vault.sign_changed_lists()?;
        let identifier = self.issued(70_000_000, 1)?.swap_remove(0);
        let order = ChangeOrder {
            kind: ChangeKind::Revoke,
            reason: ReasonCode::Error,
            legal_basis: "bench".into(),
            effective_at: None,
            request: None,
        };
        self.vault.change(&self.officer, &identifier, order)?;
        let since = Instant::now();
        self.vault.sign_changed_lists()?;
        Ok(since.elapsed().as_secs_f64())
    }

    /// Does the work on many threads at once.
    fn shared<T: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> Result<(), Failure> + Sync,
    ) -> Result<(), Failure> {
        let queue = std::sync::Mutex::new(items);
        let done: Result<Vec<()>, Failure> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            let item =
                                queue.lock().map_err(|_| Failure::unknown("a thread came to grief"))?.pop();
                            match item {
                                Some(item) => work(item)?,
                                None => return Ok(()),
                            }
                        }
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| Failure::unknown("a thread came to grief"))?)
                .collect()
        });
        done.map(|_| ())
    }
}

async fn ask(api: &Api, path: &str, code: &str) -> Result<u32, Failure> {
    let body = json!({ "code": code, "scenario": SCENARIO, "business_number": "BENCH-1" });
    let answer = api.json(Method::POST, path, Some(&body), Some(code)).await?;
    u32::try_from(answer.to_string().len()).map_err(Failure::unknown)
}

/// What a route does that only answers so many bytes.
async fn bare_route(bytes: u32, codes: &[String]) -> Result<f64, Failure> {
    let failed = |error: std::io::Error| Failure::unknown(format!("cannot serve: {error}"));
    let answer = format!("\"{}\"", "x".repeat(usize::try_from(bytes).unwrap_or(2).saturating_sub(2)));
    let (told, heard) = std::sync::mpsc::channel();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    // On threads of its own, as the vault's service is.
    let thread = std::thread::spawn(move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            // Nobody waits for it only if the measurement is over.
            let _ = told.send(listener.local_addr()?);
            let route = axum::routing::post(|_: axum::body::Bytes| async move { answer });
            let router = axum::Router::new().route("/", route);
            axum::serve(listener, router)
                .with_graceful_shutdown(async move { stopped.cancelled().await })
                .await
        })
    });
    let address = heard.recv().map_err(|_| Failure::unknown("the bare route does not start"))?;
    let api = Api::public(&format!("http://{address}"))?;
    let since = Instant::now();
    let mut calls = stream::iter(codes).map(|code| ask(&api, "/", code)).buffer_unordered(AT_ONCE);
    while let Some(answer) = calls.next().await {
        answer?;
    }
    let rate = rate(u32::try_from(codes.len()).unwrap_or(1), since);
    drop(calls);
    drop(api);
    stop.cancel();
    thread.join().map_err(|_| Failure::unknown("the bare route came to grief"))?.map_err(failed)?;
    Ok(rate)
}

/// Work under way at once.
pub(super) const AT_ONCE: usize = 64;

/// Certificates handed to the vault in one call.
const CHUNK: usize = 100;

/// The type that is measured with.
const TYPE: &str = "driving_licence";

/// The scenario that is measured with.
const SCENARIO: &str = "traffic_stop";
