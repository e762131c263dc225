//! `kabao log`: the public log from outside.

mod audit;
mod due;
mod prove;

use clap::{Args, Subcommand};

use super::client;
use super::report::{Failure, say};
use super::source::Source;
use super::trusted::{self, Anchors};
use crate::domain::time::UnixTime;
use crate::log::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::log::note::{UnverifiedNote, VerifierKey};
use crate::pki::trust::VerifiedBundle;
use crate::vault::clock::{Clock, SystemClock};

/// `kabao log …`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the whole log, and that it gives the published status lists bit for bit
    #[command(
        after_help = "Example: kabao log audit https://vault.example --anchor root.pem --state audit.state"
    )]
    Audit(audit::AuditCommand),
    /// Show one entry
    #[command(after_help = "Example: kabao log show 42 --url https://vault.example")]
    Show(prove::Show),
    /// Prove that a credential was logged, or that an entry is in the log
    #[command(
        after_help = "Example: kabao log prove certificate.sd-jwt --url https://vault.example > proof.txt"
    )]
    Prove(prove::Prove),
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Audit(audit) => client::wait(audit.run()),
            Self::Show(show) => client::wait(show.run()),
            Self::Prove(prove) => prove.run(),
        }
    }
}

/// Audits a server, for tours.
pub(super) async fn audit(url: &str, anchors: Anchors, state: std::path::PathBuf) -> Result<(), Failure> {
    audit::AuditCommand::new(url, anchors, state).run().await
}

/// The index of the entry that commits to a credential, for tours.
pub(super) async fn issue_of(url: &str, anchors: Anchors, credential: &str) -> Result<u64, Failure> {
    let (source, head) = Place { url: url.to_owned(), vkey: None, anchors }.head().await?;
    prove::find_text(&source, &head, credential).await
}

/// Where the log is, and by whom it is believed.
#[derive(Args, Debug)]
struct Place {
    /// Server, or directory laid out like one
    #[arg(long, env = "KABAO_URL", value_name = "URL|DIR")]
    url: String,
    /// The log's verifier key; otherwise it is taken from the trust bundle
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    #[command(flatten)]
    anchors: Anchors,
}

/// A log with the head that its key signed.
struct Head {
    checkpoint: Checkpoint,
    note: String,
    /// Its folder: `log/0`.
    folder: String,
}

/// The trust bundle of a vault. Without an anchor the key that signed it is believed at first
/// sight, and must then be the same at every later one.
async fn bundle(
    source: &Source,
    anchors: &Anchors,
    seen: Option<&str>,
    at: UnixTime,
) -> Result<(VerifiedBundle, String), Failure> {
    let text = source.text("trust").await?;
    if anchors.are_given() {
        let bundle = anchors.verify(&text, at)?;
        let kid = bundle.signer().kid();
        return Ok((bundle, kid));
    }
    let kid = trusted::signer_of(&text)?;
    if let Some(seen) = seen.filter(|seen| *seen != kid) {
        return Err(Failure::refused(format!(
            "the trust bundle is signed by `{kid}`, before it was `{seen}`"
        ))
        .hint("ask the operator; with their root `--anchor root.pem` a new trust key is believed"));
    }
    let bundle = trusted::pinned(&text, &kid, at)?;
    refuse_development(&bundle)?;
    if seen.is_none() {
        say(format!("the keys were taken from the server itself; its trust key is `{kid}`"));
    }
    Ok((bundle, kid))
}

/// At first sight nobody has said that development keys will do.
fn refuse_development(bundle: &VerifiedBundle) -> Result<(), Failure> {
    if bundle.is_for_development() { Err(trusted::for_development()) } else { Ok(()) }
}

/// The head that the log publishes, signed by its key.
async fn head(source: &Source, vkey: &str) -> Result<Head, Failure> {
    let key: VerifierKey =
        vkey.trim().parse().map_err(|_| Failure::misuse(format!("`{vkey}` is no verifier key")))?;
    let origin = key.name().as_str();
    let number = origin.rsplit_once("/log/").map_or("0", |(_, number)| number);
    let folder = format!("log/{number}");
    let note = source.text(&format!("{folder}/checkpoint")).await?;
    let refused =
        |error: crate::log::checkpoint::CheckpointError| Failure::refused(error).maybe_hint(error.hint());
    let unverified = UnverifiedNote::parse(&note).map_err(|error| refused(error.into()))?;
    let verified = VerifiedCheckpoint::verify(unverified, &key, &[]).map_err(refused)?;
    Ok(Head { checkpoint: verified.checkpoint().clone(), note, folder })
}

impl Place {
    async fn head(&self) -> Result<(Source, Head), Failure> {
        let source = Source::open(&self.url)?;
        let vkey = match &self.vkey {
            Some(vkey) => vkey.clone(),
            None => {
                bundle(&source, &self.anchors, None, SystemClock.now()).await?.0.content().log.vkey.clone()
            }
        };
        let head = head(&source, &vkey).await?;
        Ok((source, head))
    }
}
