//! `kabao verify`: a verdict without a network, from a trust bundle and status lists.
//!
//! `--fetch` takes both from a server beforehand, for use where there is none.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value as Json, json};

use super::client;
use super::config::write_whole;
use super::report::{Failure, data, say};
use super::source::Source;
use super::trusted::{Anchors, Trusted};
use crate::catalog::Catalog;
use crate::credential::offline::{UnverifiedOfflineCode, VerifiedOfflineCode};
use crate::credential::qr;
use crate::credential::show_key::KnownShowKeys;
use crate::credential::verify::{
    Parts, Policy, StatusAnswer, StatusSource, UnverifiedCredential, check_status,
};
use crate::domain::time::UnixTime;
use crate::domain::verdict::{Check, Decision, Reason, Verdict};
use crate::vault::clock::{Clock, SystemClock};

/// Something to be verified.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// Credential file (SD-JWT), `KB1:` text or file, or a photo of a QR (PNG, JPEG); `-` is stdin
    #[arg(value_name = "FILE-OR-CODE", required_unless_present = "fetch")]
    what: Option<String>,
    /// The trust bundle
    #[arg(long, value_name = "trust.jwt", required_unless_present = "fetch")]
    trust: Option<PathBuf>,
    /// Folder with status lists, as `--fetch` leaves them
    #[arg(long, value_name = "DIR")]
    status_dir: Option<PathBuf>,
    /// A status list; give it again for more
    #[arg(long, value_name = "FILE")]
    status: Vec<PathBuf>,
    /// How old a status list may be, in hours
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    status_age: u32,
    /// As of this instant, like 2026-03-03T00:00:00Z, instead of now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The verdict as JSON
    #[arg(long)]
    json: bool,
    /// Fetch trust bundle and status lists from this server, and verify nothing
    #[arg(long, value_name = "URL", requires = "out", conflicts_with = "what")]
    fetch: Option<String>,
    /// Where `--fetch` puts them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    anchors: Anchors,
}

/// What was found: the verdict, and what it is about.
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) claims: BTreeMap<String, Json>,
}

impl Verify {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let at = match &self.at {
            Some(text) => text.parse().map_err(|_| Failure::misuse(format!("`{text}` is no instant")))?,
            None => SystemClock.now(),
        };
        if let (Some(url), Some(out)) = (&self.fetch, &self.out) {
            return client::wait(fetch(url, out, &self.anchors, at));
        }
        let (Some(what), Some(trust)) = (&self.what, &self.trust) else {
            return Err(Failure::misuse("verify what?"));
        };
        let text = std::fs::read_to_string(trust).map_err(|error| Failure::file(trust, &error))?;
        let bundle = self.anchors.verify(&text, at)?;
        let mut trusted = Trusted::new(bundle, i64::from(self.status_age) * 3600, at);
        if let Some(folder) = &self.status_dir {
            trusted.take_folder(folder)?;
        }
        for path in &self.status {
            let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
            trusted.take_list(text.trim())?;
        }
        let finding = judge(&presented(what)?, &trusted, &self.anchors, at)?;
        tell(&finding, self.json);
        match finding.verdict.decision() {
            Decision::Accepted => Ok(()),
            Decision::Refused => Err(Failure::refused(reason(&finding.verdict))),
            Decision::Undecided => Err(Failure::unknown(reason(&finding.verdict))
                .hint("fetch the status lists again: `kabao verify --fetch URL --out DIR`")),
        }
    }
}

/// The text that is presented: of a file, of the QR in a picture, or given as it is.
pub(super) fn presented(what: &str) -> Result<String, Failure> {
    if UnverifiedOfflineCode::is_meant_by(what) {
        return Ok(what.to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(qr::IMAGE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    let path = Path::new(what);
    let read = if what == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Failure::misuse(format!("`{what}` is neither a file that can be read ({error}) nor an offline code"))
    })?;
    if bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8") {
        let mut texts = qr::read(&bytes).map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
        let text = texts.pop().ok_or_else(|| Failure::refused("the picture shows no code"))?;
        if !texts.is_empty() {
            return Err(Failure::refused(format!("the picture shows {} codes", texts.len() + 1))
                .hint("take a picture of the one that is to be verified"));
        }
        return Ok(text);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::misuse(format!("`{what}` is neither text nor a picture")))?;
    Ok(text.trim().to_owned())
}

/// The verdict on a text.
pub(super) fn judge(
    text: &str,
    trusted: &Trusted,
    anchors: &Anchors,
    at: UnixTime,
) -> Result<Finding, Failure> {
    let asking = || Check::new(Reason::AskingNone);
    if UnverifiedOfflineCode::is_meant_by(text) {
        let (verdict, verified) = judge_code(text, trusted, &KnownShowKeys::default(), anchors, at)?;
        let claims = verified.as_ref().map(offline_claims).transpose()?;
        return Ok(Finding { verdict, claims: claims.unwrap_or_default() });
    }
    if text.contains('~') {
        let credential = UnverifiedCredential::parse(text)
            .map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
        let policy = Policy { development: anchors.keys(), ..Policy::default() };
        let (parts, verified): (Parts, _) = credential.verify(trusted, trusted, &policy, at);
        let claims = verified.map(|verified| {
            let mut claims: BTreeMap<String, Json> =
                verified.expose().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            claims.insert("issuer".into(), verified.issuer_name().into());
            claims
        });
        return Ok(Finding { verdict: parts.verdict(asking()), claims: claims.unwrap_or_default() });
    }
    if text.to_ascii_uppercase().contains("/S/") {
        return Err(Failure::misuse(
            "an online code says nothing by itself: it is redeemed by an agency, once",
        )
        .hint("an agency sends it to `POST /v1/verifications`; offline codes begin with `KB1:`"));
    }
    Err(Failure::misuse("neither a credential (SD-JWT) nor an offline code (`KB1:`)"))
}

/// The verdict on an offline code; show keys known from earlier codes are not certified again.
pub(super) fn judge_code(
    text: &str,
    trusted: &Trusted,
    known: &KnownShowKeys,
    anchors: &Anchors,
    at: UnixTime,
) -> Result<(Verdict, Option<VerifiedOfflineCode>), Failure> {
    let code = UnverifiedOfflineCode::parse(text)
        .map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
    let (mut parts, mut verified) = code.verify(trusted, known, anchors.keys(), at);
    // A list at hand that is newer than the stapled status may know of an end.
    if let Some(code) = &verified {
        let (list, index) = code.status_reference();
        let listed = trusted.status(&trusted.list_uri(list), index);
        if matches!(listed, StatusAnswer::Value { value: 1.., as_of } if as_of >= code.good_at()) {
            parts.status = check_status(listed);
            verified = None;
        }
    }
    Ok((parts.verdict(Check::new(Reason::AskingNone)), verified))
}

fn offline_claims(code: &VerifiedOfflineCode) -> Result<BTreeMap<String, Json>, Failure> {
    let catalog = Catalog::embedded()?;
    let kind = catalog.by_code(code.certificate_type()).filter(|kind| kind.version() == code.type_version());
    let mut claims = BTreeMap::new();
    claims.insert("issuer".to_owned(), code.issuer().to_string().into());
    claims.insert("identifier".to_owned(), code.identifier().to_string().into());
    claims.insert(
        "type".to_owned(),
        kind.map_or(code.certificate_type().to_string(), |kind| kind.name().zh.clone()).into(),
    );
    for (number, value) in code.expose() {
        let field = kind.and_then(|kind| kind.field_numbered(*number));
        let key = field.map_or_else(|| format!("field {number}"), |field| field.key.clone());
        claims.insert(key, value.to_json());
    }
    Ok(claims)
}

fn reason(verdict: &Verdict) -> String {
    let check = verdict.deciding();
    format!("{} ({})", check.en(), check.reason.code())
}

fn tell(finding: &Finding, as_json: bool) {
    let verdict = &finding.verdict;
    let decision = verdict.decision();
    if as_json {
        let checks: serde_json::Map<String, Json> = verdict
            .checks()
            .into_iter()
            .map(|(name, check)| {
                let check = json!({
                    "outcome": check.outcome().name(), "code": check.reason.code(),
                    "zh": check.zh(), "en": check.en(),
                });
                (name.to_owned(), check)
            })
            .collect();
        let whole = json!({ "decision": decision.name(), "checks": checks, "claims": finding.claims });
        return data(format!("{whole:#}"));
    }
    data(format!("{}  {}", decision.zh(), decision.name()));
    for (name, check) in verdict.checks() {
        let mark = check.outcome().name();
        data(format!("  {name:<13} {mark:<14} {}  {}  ({})", check.zh(), check.en(), check.reason.code()));
    }
    for (key, value) in &finding.claims {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        data(format!("  {key}: {text}"));
    }
}

/// Takes trust bundle and lists from a server, each checked before it is kept.
pub(super) async fn fetch(url: &str, out: &Path, anchors: &Anchors, at: UnixTime) -> Result<(), Failure> {
    let source = Source::open(url)?;
    let folder = out.join("status");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
    let trust = source.text("trust").await?;
    let place = out.join("trust.jwt");
    let bundle = anchors.verify(&trust, at)?;
    if let Ok(held) = std::fs::read_to_string(&place)
        && let Ok(held) = anchors.verify(&held, at)
        && bundle.content().version < held.content().version
    {
        return Err(Failure::refused("the server gave an older trust bundle than the one at hand")
            .hint("somebody may be serving you an old one; ask the operator"));
    }
    let mut trusted = Trusted::new(bundle, i64::MAX / 4, at);
    let mut count = 0;
    for path in source.lists().await? {
        let token = source.text(&path).await?;
        let number = path.rsplit('/').next().and_then(|name| name.parse::<u32>().ok());
        let number = number.ok_or_else(|| Failure::refused(format!("`{path}` is no status list")))?;
        let place = folder.join(number.to_string());
        if let Ok(held) = std::fs::read_to_string(&place) {
            // What cannot be believed any more may be replaced by anything that can.
            let _ = trusted.take_list(held.trim());
        }
        trusted.take_newer_list(token.trim())?;
        write_whole(&place, token.as_bytes())?;
        count += 1;
    }
    write_whole(&place, trust.as_bytes())?;
    let issuers = trusted.bundle().content().issuers.len();
    say(format!("{issuers} departments and {count} status lists in {}", out.display()));
    Ok(())
}
