//! Issuing and changing single certificates, as a client of a running server.
//!
//! Names and numbers of people come from a file or stdin, never from arguments: other
//! users of the machine can read those.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::batch;
use super::client::{self, Server};
use super::report::{Failure, data};
use super::sample_file;

/// `kabao certificate …`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Issue one certificate from a JSON file
    #[command(
        after_help = "Example: kabao certificate issue order.json --url https://vault.example --token-file t"
    )]
    Issue(Issue),
    /// Issue many from a CSV or NDJSON file of any size; run again to go on where it stopped
    #[command(
        after_help = "Example: kabao certificate issue-batch rows.csv --url https://vault.example --token-file t --results done.ndjson"
    )]
    IssueBatch(batch::Batch),
    /// Show one certificate, masked
    #[command(after_help = "Example: kabao certificate show 1.2.156.3005.2.… --url https://vault.example")]
    Show(Show),
    /// Stop a certificate from being accepted, until resumed (暂停)
    #[command(after_help = "Example: kabao certificate suspend 1.2.156.3005.2.… --reason lost --basis '…'")]
    Suspend(Change),
    /// Lift a suspension (恢复)
    #[command(after_help = "Example: kabao certificate resume 1.2.156.3005.2.… --reason settled --basis '…'")]
    Resume(Change),
    /// Issue the next version; the old one is superseded (换发)
    #[command(after_help = "Example: kabao certificate replace 1.2.156.3005.2.… order.json")]
    Replace(Replace),
    /// End it at the holder's wish (注销)
    #[command(
        after_help = "Example: kabao certificate cancel 1.2.156.3005.2.… --reason holder-request --basis '…'"
    )]
    Cancel(Change),
    /// End it because it was wrongly granted (撤销)
    #[command(after_help = "Example: kabao certificate withdraw 1.2.156.3005.2.… --reason fraud --basis '…'")]
    Withdraw(Change),
    /// End it as a sanction (吊销)
    #[command(
        after_help = "Example: kabao certificate revoke 1.2.156.3005.2.… --reason sanction --basis '…'"
    )]
    Revoke(Change),
    /// End it here because it moved elsewhere (转出)
    #[command(after_help = "Example: kabao certificate transfer 1.2.156.3005.2.… --reason moved --basis '…'")]
    Transfer(Change),
    /// Write valid sample rows, for trials: nobody real is in them
    #[command(after_help = "Example: kabao certificate sample --types 20 --rows 100000 > rows.csv")]
    Sample(sample_file::Sample),
}

/// One order from a file.
#[derive(Args, Debug)]
pub(super) struct Issue {
    /// JSON file with the order; `-` is stdin
    file: PathBuf,
    /// Idempotency key: the same key again issues nothing twice
    #[arg(long, value_name = "KEY")]
    request: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// One certificate.
#[derive(Args, Debug)]
pub(super) struct Show {
    /// Its identifier (电子证照标识)
    identifier: String,
    /// All its versions, newest first
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    server: Server,
}

/// One change of one certificate.
#[derive(Args, Debug)]
pub(super) struct Change {
    /// Its identifier (电子证照标识)
    identifier: String,
    /// Reason code, such as `holder-request`, `lost`, `fraud`, `sanction`, `court-order`
    #[arg(long, value_name = "CODE")]
    reason: String,
    /// Legal basis, 1 to 200 characters
    #[arg(long, value_name = "TEXT")]
    basis: String,
    /// From when it counts, if not from now: like 2026-03-03T00:00:00Z
    #[arg(long, value_name = "TIME")]
    effective_at: Option<String>,
    /// Idempotency key
    #[arg(long, value_name = "KEY")]
    request: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// The next version of one certificate.
#[derive(Args, Debug)]
pub(super) struct Replace {
    /// Identifier of the certificate to be replaced
    identifier: String,
    /// JSON file with the order; `-` is stdin
    file: PathBuf,
    /// Idempotency key
    #[arg(long, value_name = "KEY")]
    request: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Issue(issue) => {
                let order = read_json(&issue.file)?;
                post(&issue.server, "/v1/certificates", &order, issue.request)
            }
            Self::IssueBatch(batch) => batch.run(),
            Self::Show(show) => {
                let tail = if show.history { "/history" } else { "" };
                let path = format!("/v1/certificates/{}{tail}", show.identifier);
                let api = show.server.connect()?;
                tell(&client::wait(api.json(Method::GET, &path, None, None))?);
                Ok(())
            }
            Self::Suspend(change) => change.run(Method::PUT, "suspension"),
            Self::Resume(change) => change.run(Method::DELETE, "suspension"),
            Self::Cancel(change) => change.run(Method::POST, "cancellation"),
            Self::Withdraw(change) => change.run(Method::POST, "withdrawal"),
            Self::Revoke(change) => change.run(Method::POST, "revocation"),
            Self::Transfer(change) => change.run(Method::POST, "transfer"),
            Self::Replace(replace) => {
                let order = read_json(&replace.file)?;
                let path = format!("/v1/certificates/{}/replacement", replace.identifier);
                post(&replace.server, &path, &order, replace.request)
            }
            Self::Sample(sample) => sample.run(),
        }
    }
}

impl Change {
    fn run(self, method: Method, tail: &str) -> Result<(), Failure> {
        let path = format!("/v1/certificates/{}/{tail}", self.identifier);
        let mut body = json!({ "reason": self.reason, "legal_basis": self.basis });
        if let Some(at) = &self.effective_at {
            body["effective_at"] = at.clone().into();
        }
        let request = self.request.map_or_else(client::request_key, Ok)?;
        let api = self.server.connect()?;
        tell(&client::wait(api.json(method, &path, Some(&body), Some(&request)))?);
        Ok(())
    }
}

fn post(server: &Server, path: &str, order: &Json, request: Option<String>) -> Result<(), Failure> {
    let request = request.map_or_else(client::request_key, Ok)?;
    let api = server.connect()?;
    tell(&client::wait(api.json(Method::POST, path, Some(order), Some(&request)))?);
    Ok(())
}

fn tell(json: &Json) {
    data(format!("{json:#}"));
}

fn read_json(path: &Path) -> Result<Json, Failure> {
    let mut text = String::new();
    let limit = u64::try_from(ORDER_BYTES_MAX).unwrap_or(u64::MAX);
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::file(path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::misuse(format!(
            "`{}` is no JSON: line {}, column {}",
            path.display(),
            error.line(),
            error.column()
        ))
    })
}

/// The largest order that is read: far above any certificate. Our own choice.
const ORDER_BYTES_MAX: usize = 4 << 20;
