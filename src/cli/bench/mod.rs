//! `kabao bench`: what the vault reaches on this machine, beside what its parts reach alone.
//!
//! Every figure is a ratio of two rates taken in one run (DESIGN, "Speed"): a rate by
//! itself says more of the machine than of us.
//!
//! # Not here
//!
//! Growth to ten million certificates and peak memory: they need a run of hours.

mod limits;
mod work;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use self::work::Bench as Works;
use super::report::{Failure, data, say};

/// A measurement.
#[derive(Args, Debug)]
pub(super) struct Bench {
    /// Directory for the vault that is measured; a temporary one otherwise. Its disk is what is measured
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Certificates issued for each kind of work
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..))]
    rows: u32,
    /// Seconds for each limit
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    seconds: u64,
}

/// One line of the table.
struct Line {
    work: &'static str,
    rate: f64,
    limit: &'static str,
    limit_rate: f64,
    goal: &'static str,
    goal_ratio: f64,
}

impl Bench {
    /// Measures.
    pub(super) fn run(self) -> Result<(), Failure> {
        let own = self.dir.is_none();
        let dir = match self.dir {
            Some(dir) => dir,
            None => std::env::temp_dir().join(format!("kabao-bench-{}", std::process::id())),
        };
        let span = Duration::from_secs(self.seconds.max(1));
        let measured = measure(&dir, self.rows, span);
        if own {
            // Left behind it only takes room; the system clears its folder of temporary files.
            let _ = std::fs::remove_dir_all(&dir);
        }
        measured
    }
}

fn measure(dir: &std::path::Path, rows: u32, span: Duration) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        say("this build has its checks on: the ratios hold, the rates would be higher in a release build");
    }
    say("issuing …");
    let bench = Works::new(dir)?;
    let issue = bench.issue(rows)?;
    head();
    let sign = limits::sign_and_verify(span)?;
    line(&Line {
        work: "issue in bulk",
        rate: issue,
        limit: "bare Ed25519 sign and verify, all cores",
        limit_rate: sign,
        goal: "0.5",
        goal_ratio: 0.5,
    });
    let batches = limits::synced_batches(dir, span)?;
    let revoke = bench.revoke(rows)?;
    line(&Line {
        work: "revoke",
        rate: revoke,
        limit: "raw synced batches of the same size",
        limit_rate: batches,
        goal: "0.5",
        goal_ratio: 0.5,
    });
    let (online, bare) = bench.verify_online(rows.min(2_000))?;
    line(&Line {
        work: "verify online",
        rate: online,
        limit: "bare axum route, same bytes",
        limit_rate: bare,
        goal: "0.5",
        goal_ratio: 0.5,
    });
    let (offline, verify) = bench.verify_offline(span)?;
    line(&Line {
        work: "verify offline",
        rate: offline,
        limit: "one bare signature verification",
        limit_rate: verify,
        goal: "0.8",
        goal_ratio: 0.8,
    });
    let serial = bench.issue_serially(100)?;
    let syncs = limits::batch_and_lock(dir, span)?;
    line(&Line {
        work: "one serial client",
        rate: serial,
        limit: "one batch sync and one lock sync",
        limit_rate: syncs,
        goal: "0.77",
        goal_ratio: 1.0 / 1.3,
    });
    let list = bench.sign_list()?;
    data(format!(
        "{:<18} {:>10.1} ms from one bit changed to the signed list out",
        "status list",
        list * 1000.0
    ));
    Ok(())
}

fn head() {
    data(format!("{:<18} {:>12} {:>12} {:>7} {:>6}   limit", "work", "per second", "limit", "ratio", "goal"));
}

fn line(line: &Line) {
    let ratio = line.rate / line.limit_rate;
    let mark = if ratio >= line.goal_ratio { "" } else { "  below the goal" };
    data(format!(
        "{:<18} {:>12.0} {:>12.0} {ratio:>7.2} {:>6}   {}{mark}",
        line.work, line.rate, line.limit_rate, line.goal, line.limit
    ));
}

/// How often something was done in a second.
fn rate(count: u32, since: Instant) -> f64 {
    f64::from(count) / since.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Does something over and over for a while, on one thread, and gives its rate.
fn repeat(span: Duration, mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let since = Instant::now();
    let mut count = 0;
    while since.elapsed() < span {
        work()?;
        count += 1;
    }
    Ok(rate(count, since))
}

/// Cores of this machine.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
