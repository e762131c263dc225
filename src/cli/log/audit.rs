//! `kabao log audit`: everything the log promises, checked from outside.
//!
//! # Order of work
//!
//! 1. keys           the trust bundle, under the auditor's anchor or the key seen first
//! 2. status lists   each signed token with the size of the log it was made at
//! 3. head           the signed checkpoint; it covers every size of step 2
//! 4. entries        hashed, decoded, folded in order, and compared with the published tiles
//! 5. at each size   the root that was promised, and the list bit for bit
//! 6. at the head    no list lacks a change that is due (see `due.rs`)
//! 7. state          kept as of the oldest list, so that the next audit can compare every list again
//!
//! A crash leaves the state as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use futures_util::StreamExt;

use super::due::Due;
use super::{Head, bundle, head, prove};
use crate::cli::config::write_whole;
use crate::cli::report::{self, Failure, data, say};
use crate::cli::source::Source;
use crate::cli::trusted::{self, Anchors};
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::log::checkpoint::Checkpoint;
use crate::log::entry::Entry;
use crate::log::misfit::Misfit;
use crate::log::resume::Audit;
use crate::log::tile::{EntryBundle, TILE_WIDTH, Tile, TileKind, TilePath};
use crate::pki::trust::VerifiedBundle;
use crate::status::list::SlotIndex;
use crate::status::token::{UnverifiedStatusToken, VerifiedStatusList};
use crate::vault::clock::{Clock, SystemClock};

/// An audit of a log.
#[derive(Args, Debug)]
pub(in crate::cli) struct AuditCommand {
    /// Server, or directory laid out like one
    #[arg(value_name = "URL|DIR")]
    place: String,
    /// Where the audit keeps how far it came, to go on there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The log's verifier key; otherwise it is taken from the trust bundle
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// As of this instant, like 2026-03-03T00:00:00Z, instead of now; the lists of a directory are
    /// otherwise held against the minute of its newest entry
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    anchors: Anchors,
}

/// What an audit remembers.
#[derive(Debug, Eq, PartialEq)]
struct Kept {
    /// The head seen last: the log must still stand on it.
    seen: Checkpoint,
    /// The key that signed the trust bundle.
    trust_kid: String,
    audit: Audit,
}

/// An audit while it reads.
struct Reading {
    audit: Audit,
    due: Due,
    /// The size of the log at which it is kept for the next audit.
    keep_at: u64,
    keep: Option<Audit>,
}

impl AuditCommand {
    /// An audit that keeps its state.
    pub(super) fn new(place: &str, anchors: Anchors, state: PathBuf) -> Self {
        Self { place: place.to_owned(), state: Some(state), vkey: None, at: None, anchors }
    }

    /// Does it.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let source = Source::open(&self.place)?;
        let given = self.given_at()?;
        let at = given.unwrap_or_else(|| SystemClock.now());
        let kept = self.read_state()?;
        let seen_kid = kept.as_ref().map(|kept| kept.trust_kid.as_str());
        let (bundle, trust_kid) = bundle(&source, &self.anchors, seen_kid, at).await?;
        let lists = lists(&source, &bundle, at).await?;
        let vkey = self.vkey.clone().unwrap_or_else(|| bundle.content().log.vkey.clone());
        let head = head(&source, &vkey).await?;
        let mut stops = stops(&lists, &head)?;
        let mut audit = Audit::default();
        if let Some(kept) = kept {
            check_seen(&kept, &head)?;
            stops.entry(kept.seen.size()).or_default().push(Promise::Head(kept.seen));
            audit = kept.audit;
        }
        if stops.first_key_value().is_some_and(|(size, _)| *size < audit.size()) {
            say("something older than the kept audit is published: reading the log from its beginning");
            audit = Audit::default();
        }
        let first = audit.size();
        let keep_at = stops.keys().next().copied().unwrap_or(head.checkpoint.size());
        let fetched = match (given, &source) {
            (None, Source::Folder(_)) => newest(&source, &head).await?,
            _ => at,
        };
        let due = Due::new(lists.iter().map(|(number, list)| (*number, list.log().size())), fetched);
        let mut reading = Reading { audit, due, keep_at, keep: None };
        self.read_entries(&source, &head, &stops, &mut reading).await?;
        let Reading { audit, due, keep, .. } = reading;
        check_all_published(&audit, &lists, &head)?;
        due.check(|list, slot| {
            let (_, published) = lists.iter().find(|(number, _)| *number == list)?;
            Some(published.value(SlotIndex::new(slot)?))
        })?;
        if let (Some(path), Some(audit)) = (&self.state, keep) {
            write_state(path, &Kept { seen: head.checkpoint.clone(), trust_kid, audit })?;
        }
        let size = head.checkpoint.size();
        data(format!(
            "{}: {size} entries stand, {} read now, {} status lists are those of the log bit for bit",
            head.checkpoint.origin(),
            size - first,
            lists.len()
        ));
        Ok(())
    }

    async fn read_entries(
        &self,
        source: &Source,
        head: &Head,
        stops: &BTreeMap<u64, Vec<Promise>>,
        reading: &mut Reading,
    ) -> Result<(), Failure> {
        let Reading { audit, due, keep_at, keep } = reading;
        let size = head.checkpoint.size();
        let bar = report::progress(size, "entries");
        let mut tiles = Tiles::from(audit.size());
        let mut check_stop = |audit: &Audit| -> Result<(), Failure> {
            for promise in stops.get(&audit.size()).into_iter().flatten() {
                promise.check(audit)?;
            }
            if audit.size() == *keep_at {
                *keep = Some(audit.clone());
            }
            Ok(())
        };
        check_stop(audit)?;
        let width = u64::from(TILE_WIDTH);
        let bundles = audit.size() / width..size.div_ceil(width);
        let path = |index: u64, kind| {
            let width = u16::try_from((size - index * width).min(width)).unwrap_or(TILE_WIDTH);
            let path = TilePath::new(kind, index, width).map(|path| format!("{}/{path}", head.folder));
            path.unwrap_or_default()
        };
        let entries = source.many(bundles.clone().map(|index| path(index, TileKind::Entries)));
        let hashes = source.many(bundles.clone().map(|index| path(index, TileKind::Hashes(0))));
        let mut both = std::pin::pin!(entries.zip(hashes));
        let mut index = bundles.start;
        while let Some((bundle, tile)) = both.next().await {
            let (bundle, tile) = (bundle?, tile?);
            let first = index * width;
            let count = u16::try_from((size - first).min(width)).unwrap_or(TILE_WIDTH);
            let malformed = |error: crate::log::tile::TileError| {
                Failure::refused(format!("the tile of the entries from {first} does not fit: {error}"))
            };
            let bundle = EntryBundle::decode(&bundle, count).map_err(malformed)?;
            let tile = Tile::decode(&tile, count).map_err(malformed)?;
            let own = Tile::of_entries(bundle.entries()).map_err(malformed)?;
            if let Some(place) = own.hashes().iter().zip(tile.hashes()).position(|(own, other)| own != other)
            {
                let entry = first + u64::try_from(place).unwrap_or(0);
                return Err(Failure::refused(format!(
                    "entry {entry} does not fit: its tile has another hash"
                )));
            }
            let skip = usize::try_from(audit.size() - first).unwrap_or(0);
            for entry in &bundle.entries()[skip.min(bundle.entries().len())..] {
                audit.take(std::slice::from_ref(entry)).map_err(Failure::from)?;
                due.take(audit.size() - 1, entry);
                check_stop(audit)?;
            }
            tiles.push(source, head, own).await?;
            index += 1;
            bar.set_position(audit.size());
        }
        tiles.finish(source, head).await?;
        bar.finish_and_clear();
        Ok(())
    }

    fn given_at(&self) -> Result<Option<UnixTime>, Failure> {
        let Some(text) = &self.at else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Failure::misuse(format!("`{text}` is no instant")))
    }

    fn read_state(&self) -> Result<Option<Kept>, Failure> {
        let Some(path) = &self.state else { return Ok(None) };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(path, &error)),
        };
        let kept = decode_state(&bytes).ok_or_else(|| {
            Failure::misuse(format!("`{}` is no kept audit", path.display()))
                .hint("remove the file and audit the log from its beginning")
        });
        kept.map(Some)
    }
}

/// Something that was signed about the log at some size.
enum Promise {
    /// A head.
    Head(Checkpoint),
    /// A status list.
    List(u32, Box<VerifiedStatusList>),
}

impl Promise {
    fn check(&self, audit: &Audit) -> Result<(), Failure> {
        match self {
            Self::Head(head) => audit.stands_at(head).map_err(Failure::from),
            Self::List(number, list) => {
                audit.stands_at(list.log()).map_err(|misfit| {
                    Failure::refused(format!("status list {number} was made from another log: {misfit}"))
                })?;
                let size = audit.size();
                match audit.fold().first_difference(*number, list.list().as_bytes()) {
                    Ok(None) => Ok(()),
                    Ok(Some(slot)) => Err(Failure::refused(format!(
                        "status list {number} is not what the first {size} entries give: slot {slot} differs"
                    ))),
                    Err(reason) => Err(Misfit { index: size, reason }.into()),
                }
            }
        }
    }
}

/// What must hold at which size.
fn stops(lists: &[(u32, VerifiedStatusList)], head: &Head) -> Result<BTreeMap<u64, Vec<Promise>>, Failure> {
    let mut stops: BTreeMap<u64, Vec<Promise>> = BTreeMap::new();
    for (number, list) in lists {
        let size = list.log().size();
        if size > head.checkpoint.size() {
            return Err(Failure::refused(format!(
                "status list {number} speaks of {size} entries, the head of {}",
                head.checkpoint.size()
            )));
        }
        stops.entry(size).or_default().push(Promise::List(*number, Box::new(list.clone())));
    }
    let size = head.checkpoint.size();
    stops.entry(size).or_default().push(Promise::Head(head.checkpoint.clone()));
    Ok(stops)
}

/// When the newest entry was logged: a directory is as of then.
async fn newest(source: &Source, head: &Head) -> Result<UnixTime, Failure> {
    let Some(last) = head.checkpoint.size().checked_sub(1) else { return Ok(SystemClock.now()) };
    let bytes = prove::entry(source, head, last).await?;
    let entry = Entry::decode(&bytes).map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
    Ok(entry.minute().time().plus(59))
}

/// The log must be the one that was seen, and not shorter.
fn check_seen(kept: &Kept, head: &Head) -> Result<(), Failure> {
    if kept.seen.origin() != head.checkpoint.origin() {
        return Err(Failure::refused(format!(
            "this is the log `{}`, the kept audit is of `{}`",
            head.checkpoint.origin(),
            kept.seen.origin()
        )));
    }
    if head.checkpoint.size() < kept.seen.size() {
        return Err(Failure::refused(format!(
            "the log has {} entries, and had {} before: something was taken away",
            head.checkpoint.size(),
            kept.seen.size()
        )));
    }
    Ok(())
}

async fn lists(
    source: &Source,
    bundle: &VerifiedBundle,
    at: UnixTime,
) -> Result<Vec<(u32, VerifiedStatusList)>, Failure> {
    let base = bundle.content().status_base.trim_end_matches('/');
    let mut lists = Vec::new();
    for path in source.lists().await? {
        let number = path.rsplit('/').next().unwrap_or_default();
        let uri = format!("{base}/{number}");
        let number = number.parse().map_err(|_| Failure::refused(format!("`{path}` is no status list")))?;
        let token = source.text(&path).await?;
        let keys = trusted::status_keys(bundle, token.trim());
        let verified = UnverifiedStatusToken::parse(token.trim())?.verify(&keys, &uri, at);
        lists.push((
            number,
            verified.map_err(|error| Failure::refused(format!("status list {number}: {error}")))?,
        ));
    }
    Ok(lists)
}

/// Every list that the log opened must be published.
fn check_all_published(
    audit: &Audit,
    lists: &[(u32, VerifiedStatusList)],
    head: &Head,
) -> Result<(), Failure> {
    audit.stands_at(&head.checkpoint)?;
    match audit.fold().lists().find(|list| !lists.iter().any(|(number, _)| number == list)) {
        Some(list) => {
            Err(Failure::refused(format!("the log opened status list {list}, which is not published")))
        }
        None => Ok(()),
    }
}

/// The tiles above the entries, recomputed and compared with those published. An audit that
/// goes on has not all hashes of the tiles above; it then compares level 0 only.
struct Tiles {
    levels: Vec<Vec<Digest>>,
    done: Vec<u64>,
    whole: bool,
}

impl Tiles {
    fn from(size: u64) -> Self {
        Self { levels: vec![], done: vec![], whole: size == 0 }
    }

    async fn push(&mut self, source: &Source, head: &Head, tile: Tile) -> Result<(), Failure> {
        if !self.whole {
            return Ok(());
        }
        let mut parent = tile.parent();
        let mut level = 0;
        while let Some(hash) = parent {
            if self.levels.len() == level {
                self.levels.push(vec![]);
                self.done.push(0);
            }
            self.levels[level].push(hash);
            parent = None;
            if self.levels[level].len() == usize::from(TILE_WIDTH) {
                parent = self.compare(source, head, level).await?.parent();
            }
            level += 1;
        }
        Ok(())
    }

    async fn finish(&mut self, source: &Source, head: &Head) -> Result<(), Failure> {
        for level in 0..self.levels.len() {
            if !self.levels[level].is_empty() {
                self.compare(source, head, level).await?;
            }
        }
        Ok(())
    }

    /// Compares the tile that is being filled with the one published, and begins the next.
    async fn compare(&mut self, source: &Source, head: &Head, level: usize) -> Result<Tile, Failure> {
        let own = std::mem::take(&mut self.levels[level]);
        let width = u16::try_from(own.len()).unwrap_or(TILE_WIDTH);
        let number = u8::try_from(level + 1).unwrap_or(u8::MAX);
        let wrong = |error: crate::log::tile::TileError| Failure::refused(error);
        let path = TilePath::new(TileKind::Hashes(number), self.done[level], width).map_err(wrong)?;
        let published =
            Tile::decode(&source.need(&format!("{}/{path}", head.folder)).await?, width).map_err(wrong)?;
        if published.hashes() != own {
            return Err(Failure::refused(format!("`{path}` is not what the entries below it give")));
        }
        self.done[level] += 1;
        Ok(published)
    }
}

fn write_state(path: &std::path::Path, kept: &Kept) -> Result<(), Failure> {
    let mut bytes = format!("{STATE}\n{}\n{}\n", kept.trust_kid, kept.seen).into_bytes();
    bytes.extend(kept.audit.keep());
    write_whole(path, &bytes)
}

fn decode_state(bytes: &[u8]) -> Option<Kept> {
    // Six lines: format, key, the three of the checkpoint, an empty one; then the audit.
    let mut rest = bytes;
    let mut lines = Vec::new();
    for _ in 0..6 {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        lines.push(std::str::from_utf8(&rest[..end]).ok()?);
        rest = &rest[end + 1..];
    }
    if lines[0] != STATE || !lines[5].is_empty() {
        return None;
    }
    let seen = format!("{}\n{}\n{}\n", lines[2], lines[3], lines[4]).parse().ok()?;
    Some(Kept { seen, trust_kid: lines[1].to_owned(), audit: Audit::resume(rest).ok()? })
}

/// The first line of a kept audit.
const STATE: &str = "kabao-audit/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_audit_keeps_is_read_back_and_damage_is_noticed() {
        let seen = Checkpoint::new("e/log/0".parse().unwrap(), 0, Digest::of(&[])).unwrap();
        let kept = Kept { seen, trust_kid: "kid".into(), audit: Audit::default() };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        write_state(&path, &kept).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(decode_state(&bytes), Some(kept));
        assert_eq!(decode_state(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_state(b"kabao-audit/2\n\n\n\n\n\n"), None);
    }
}
