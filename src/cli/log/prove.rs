//! `kabao log show` and `kabao log prove`: one entry, and the proof that it is in the log.

use std::collections::{BTreeMap, btree_map};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use futures_util::StreamExt;

use super::{Head, Place};
use crate::cli::client;
use crate::cli::config::write_whole;
use crate::cli::report::{self, Failure, data, say};
use crate::cli::source::Source;
use crate::credential::verify::UnverifiedCredential;
use crate::domain::digest::Digest;
use crate::log::entry::{Entry, commitment};
use crate::log::event::Event;
use crate::log::merkle::{self, leaf_hash};
use crate::log::proof::UnverifiedProof;
use crate::log::tile::{EntryBundle, TILE_WIDTH, Tile, TileHashes, TileKind, TilePath, Tiled};

/// One entry to be shown.
#[derive(Args, Debug)]
pub(in crate::cli) struct Show {
    /// Its index
    index: u64,
    #[command(flatten)]
    place: Place,
}

/// One entry to be proved.
#[derive(Args, Debug)]
pub(in crate::cli) struct Prove {
    /// Credential file (its issue is looked for in the log), or the index of an entry
    #[arg(value_name = "FILE|INDEX")]
    what: String,
    /// Where the entry's bytes are written, which the proof is about
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

impl Show {
    /// Does it.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (source, head) = self.place.head().await?;
        let bytes = entry(&source, &head, self.index).await?;
        let entry =
            Entry::decode(&bytes).map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
        let issuer = entry.issuer().unwrap_or("-");
        data(format!(
            "{}\t{}\t{}\t{issuer}\t{}",
            self.index,
            entry.minute().time(),
            entry.event().name(),
            tell(entry.event())
        ));
        Ok(())
    }
}

impl Prove {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let (source, head) = client::wait(self.place.head())?;
        let index = match self.what.parse::<u64>() {
            Ok(index) => index,
            Err(_) => client::wait(find(&source, &head, Path::new(&self.what)))?,
        };
        let bytes = client::wait(entry(&source, &head, index))?;
        let size = head.checkpoint.size();
        let tree = Published { source: &source, head: &head, tiles: Mutex::default() };
        let cannot = |error: merkle::MerkleError| Failure::unknown(error).maybe_hint(error.hint());
        let hashes = merkle::inclusion_proof(index, size, &Tiled(&tree)).map_err(cannot)?;
        let refused = |error: merkle::MerkleError| Failure::refused(error).maybe_hint(error.hint());
        merkle::verify_inclusion(&leaf_hash(&bytes), index, size, head.checkpoint.root(), &hashes)
            .map_err(refused)?;
        if let Some(path) = &self.entry {
            write_whole(path, &bytes)?;
        }
        let text = UnverifiedProof::new(index, hashes, head.note).to_string();
        data(text.trim_end_matches('\n'));
        say(format!("entry {index} is in the log `{}` of {size} entries", head.checkpoint.origin()));
        Ok(())
    }
}

/// The bytes of the entry at an index.
pub(super) async fn entry(source: &Source, head: &Head, index: u64) -> Result<Vec<u8>, Failure> {
    let size = head.checkpoint.size();
    if index >= size {
        return Err(Failure::refused(format!("the log has {size} entries; there is none at {index}")));
    }
    let width = u64::from(TILE_WIDTH);
    let bundle = bundle(
        &source.need(&path(head, TileKind::Entries, index / width, size)?).await?,
        index / width,
        size,
    )?;
    let place = usize::try_from(index % width).unwrap_or(0);
    bundle.into_entries().into_iter().nth(place).ok_or_else(|| Failure::refused("the bundle lacks the entry"))
}

/// The entry that commits to a credential.
async fn find(source: &Source, head: &Head, path_of_credential: &Path) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(path_of_credential).map_err(|error| {
        Failure::misuse(format!(
            "`{}` is neither an index nor a credential file: {error}",
            path_of_credential.display()
        ))
    })?;
    find_text(source, head, &text).await
}

/// The entry that commits to the text of a credential.
pub(super) async fn find_text(source: &Source, head: &Head, text: &str) -> Result<u64, Failure> {
    let credential = UnverifiedCredential::parse(text.trim())
        .map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
    let wanted = commitment(credential.jwt());
    let size = head.checkpoint.size();
    let bundles = 0..size.div_ceil(u64::from(TILE_WIDTH));
    let paths = bundles.map(|index| path(head, TileKind::Entries, index, size).unwrap_or_default());
    let mut found = std::pin::pin!(source.many(paths));
    let bar = report::progress(size, "entries");
    let (mut index, mut number) = (0, 0);
    while let Some(bytes) = found.next().await {
        for entry in bundle(&bytes?, number, size)?.entries() {
            let entry =
                Entry::decode(entry).map_err(|error| Failure::refused(error).maybe_hint(error.hint()))?;
            if matches!(entry.event(), Event::Issued { commitment, .. } if *commitment == wanted) {
                bar.finish_and_clear();
                return Ok(index);
            }
            index += 1;
        }
        number += 1;
        bar.set_position(index);
    }
    Err(Failure::refused("the log has no entry of this credential")
        .hint("then it was not issued by this vault"))
}

fn bundle(bytes: &[u8], number: u64, size: u64) -> Result<EntryBundle, Failure> {
    EntryBundle::decode(bytes, width_at(number, size)).map_err(Failure::refused)
}

fn path(head: &Head, kind: TileKind, number: u64, count: u64) -> Result<String, Failure> {
    let path = TilePath::new(kind, number, width_at(number, count)).map_err(Failure::refused)?;
    Ok(format!("{}/{path}", head.folder))
}

/// How many of `count` things tile `number` of a level holds.
fn width_at(number: u64, count: u64) -> u16 {
    let width = u64::from(TILE_WIDTH);
    u16::try_from(count.saturating_sub(number * width).min(width)).unwrap_or(TILE_WIDTH)
}

/// The published tiles as a tree.
struct Published<'a> {
    source: &'a Source,
    head: &'a Head,
    tiles: Mutex<BTreeMap<(u8, u64), Vec<Digest>>>,
}

impl TileHashes for Published<'_> {
    fn tile_hashes(&self, level: u8, start: u64, count: u16) -> Option<Vec<Digest>> {
        let width = u64::from(TILE_WIDTH);
        let number = start / width;
        let on_level = self.head.checkpoint.size().checked_shr(8 * u32::from(level))?;
        let mut tiles = self.tiles.lock().ok()?;
        if let btree_map::Entry::Vacant(place) = tiles.entry((level, number)) {
            let path = path(self.head, TileKind::Hashes(level), number, on_level).ok()?;
            let bytes = client::wait(self.source.need(&path)).ok()?;
            let tile = Tile::decode(&bytes, width_at(number, on_level)).ok()?;
            place.insert(tile.hashes().to_vec());
        }
        let first = usize::try_from(start % width).ok()?;
        let hashes = tiles.get(&(level, number))?.get(first..first + usize::from(count))?;
        Some(hashes.to_vec())
    }
}

/// An event in a few words.
fn tell(event: &Event) -> String {
    match event {
        Event::Issued { type_or_class, commitment } => format!("{type_or_class} {commitment}"),
        Event::Status { list, index, value, .. } => {
            format!("list {list} slot {index} becomes {}", value.bits())
        }
        other => format!("{other:?}"),
    }
}
