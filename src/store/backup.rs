//! The folder of a backup: a copy of the store, and a manifest that says what it is a copy of.
//!
//! # Order of writes
//!
//! 1. the copy        [`Store::checkpoint_copy`](crate::store::Store::checkpoint_copy), which reads it back
//! 2. the manifest    written beside its place, synced, renamed; then the folder is synced
//!
//! A folder without a manifest is a backup that was cut short, or none.
//!
//! A backup with a name ([`Named`]) does both in `NAME.part`. Then:
//!
//! 3. `NAME.request`  the digest of the request it is for, synced
//! 4. `NAME`          `NAME.part` renamed; then the folder is synced
//!
//! So `NAME` is always whole. `NAME.part` and `NAME.request` without it say nothing, and
//! the next attempt writes over them.
//!
//! # Not here
//!
//! The head lock, the deletion ledger and the key-encryption key: they are kept
//! apart from every backup, since together they would prove nothing and hide
//! nothing. Whether a backup may be opened: `vault::restore`.

use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::store::Copied;
use crate::store::StoreError;
use crate::store::head_lock::LockedHead;

/// What a backup is a copy of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// The head of its log.
    pub head: LockedHead,
    /// The digest of all its rows.
    pub content: Digest,
    /// When it was finished.
    pub made_at: UnixTime,
}

impl Manifest {
    /// What a copy is a copy of. `None` of a store whose log was never begun.
    pub fn of(copied: &Copied, made_at: UnixTime) -> Option<Self> {
        let head = LockedHead::from(copied.head.as_ref()?);
        Some(Self { head, content: copied.content, made_at })
    }

    /// Writes it into the folder of the copy, durably: from here the folder is a backup.
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let text = json!({
            "kabao_backup": VERSION,
            "made_at": self.made_at.to_string(),
            "head": {
                "origin": self.head.origin, "size": self.head.size, "root": self.head.root.to_string(),
            },
            "content": self.content.to_string(),
        });
        let part = dir.join(MANIFEST_FILE).with_extension("part");
        let write = || {
            let mut file = File::create(&part)?;
            file.write_all(format!("{text:#}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, dir.join(MANIFEST_FILE))?;
            sync_folder(dir)?;
            sync_folder(
                dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            )
        };
        write().map_err(|error| failed("write the manifest", &error))
    }

    /// Reads it from the folder of a backup. [`StoreError::Missing`] where there is none.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        let bytes = fs::read(dir.join(MANIFEST_FILE)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::Missing,
            _ => failed("read the manifest", &error),
        })?;
        let corrupt = StoreError::Corrupt { table: MANIFEST_FILE };
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| corrupt)?;
        match value["kabao_backup"].as_u64() {
            Some(VERSION) => parse(&value).ok_or(corrupt),
            Some(found) => {
                let found = u8::try_from(found).unwrap_or(u8::MAX);
                Err(StoreError::Version { table: MANIFEST_FILE, found })
            }
            None => Err(corrupt),
        }
    }
}

/// A backup with a name, in a folder of backups.
pub struct Named {
    folder: PathBuf,
    whole: PathBuf,
    part: PathBuf,
    request: PathBuf,
}

impl Named {
    /// The backup with this name; nothing is made yet. The name is one plain component of a path.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            whole: folder.join(name),
            part: folder.join(format!("{name}.part")),
            request: folder.join(format!("{name}.request")),
        }
    }

    /// Where it is made.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Whether it is there, and for which request it was made.
    pub fn look(&self) -> Result<Found, StoreError> {
        if !self.whole.try_exists().map_err(|error| failed("look for the backup", &error))? {
            return Ok(Found::Nothing);
        }
        let request = match fs::read_to_string(&self.request) {
            Ok(text) => Digest::from_hex(text.trim_end()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read whose backup it is", &error)),
        };
        let Some(request) = request else { return Ok(Found::Foreign) };
        Ok(Found::Whole { request, manifest: Manifest::read(&self.whole)? })
    }

    /// Throws away what an attempt that was cut short has left.
    pub fn clear(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.part) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("throw away a backup that was cut short", &error))
            }
            _ => Ok(()),
        }
    }

    /// Gives what was made its name, durably: from here it is a backup.
    pub fn finish(&self, request: &Digest) -> Result<(), StoreError> {
        let finish = || {
            let mut file = File::create(&self.request)?;
            file.write_all(format!("{request}\n").as_bytes())?;
            file.sync_all()?;
            sync_folder(&self.folder)?;
            fs::rename(&self.part, &self.whole)?;
            sync_folder(&self.folder)
        };
        finish().map_err(|error| failed("give the backup its name", &error))
    }
}

/// What there is under a backup's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Something that no request made.
    Foreign,
    /// Nothing.
    Nothing,
    /// A backup.
    Whole {
        /// Digest of the request it was made for.
        request: Digest,
        /// What it is a copy of.
        manifest: Manifest,
    },
}

/// Makes the folders above the one that a copy will be in.
pub fn make_place(dir: &Path) -> Result<(), StoreError> {
    match dir.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|error| failed("make the folder", &error)),
        None => Ok(()),
    }
}

/// Copies a backup to a folder that does not exist yet, without its manifest, durably.
///
/// The backup stays as it is. A crash leaves a part, to be thrown away.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::create_dir(to).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => StoreError::AlreadyThere,
        _ => failed("make the folder", &error),
    })?;
    let copy = || {
        for file in fs::read_dir(from)? {
            let file = file?;
            if file.file_name() == MANIFEST_FILE || !file.file_type()?.is_file() {
                continue;
            }
            let target = to.join(file.file_name());
            fs::copy(file.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
        sync_folder(to)
    };
    copy().map_err(|error| failed("copy the backup", &error))
}

fn parse(value: &Value) -> Option<Manifest> {
    let head = LockedHead {
        origin: value["head"]["origin"].as_str()?.to_owned(),
        size: value["head"]["size"].as_u64()?,
        root: Digest::from_hex(value["head"]["root"].as_str()?)?,
    };
    let content = Digest::from_hex(value["content"].as_str()?)?;
    Some(Manifest { head, content, made_at: value["made_at"].as_str()?.parse().ok()? })
}

fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn failed(doing: &str, error: &std::io::Error) -> StoreError {
    tracing::error!(store.doing = doing, store.error = %error, "the store could not {doing}");
    StoreError::Io
}

/// The manifest's name in a backup. Not a name that RocksDB uses.
const MANIFEST_FILE: &str = "kabao-backup.json";

const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let head = LockedHead { origin: "kabao.example/log/0".into(), size: 7, root: Digest::of(&[b"root"]) };
        Manifest { head, content: Digest::of(&[b"rows"]), made_at: "2026-11-23T02:00:00Z".parse().unwrap() }
    }

    #[test]
    fn a_manifest_reads_as_it_was_written_and_is_told_when_it_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()), Err(StoreError::Missing));
        manifest().write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()), Ok(manifest()));
        let path = dir.path().join(MANIFEST_FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"size\": 7", "\"size\": -7")).unwrap();
        assert_eq!(Manifest::read(dir.path()), Err(StoreError::Corrupt { table: MANIFEST_FILE }));
        fs::write(&path, text.replace("\"kabao_backup\": 1", "\"kabao_backup\": 2")).unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(StoreError::Version { found: 2, .. })));
    }

    #[test]
    fn a_named_backup_is_whole_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let named = Named::new(dir.path(), "monday");
        let request = Digest::of(&[b"request"]);
        fs::create_dir_all(named.part().join("cut short")).unwrap();
        assert_eq!(named.look(), Ok(Found::Nothing));
        named.clear().unwrap();
        named.clear().unwrap();
        fs::create_dir(named.part()).unwrap();
        manifest().write(named.part()).unwrap();
        named.finish(&request).unwrap();
        assert_eq!(named.look(), Ok(Found::Whole { request, manifest: manifest() }));
        assert!(!named.part().exists());
        fs::remove_file(dir.path().join("monday.request")).unwrap();
        assert_eq!(named.look(), Ok(Found::Foreign));
    }

    #[test]
    fn a_backup_is_copied_without_its_manifest_and_never_over_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("backup"), dir.path().join("store"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("rows"), b"rows").unwrap();
        manifest().write(&from).unwrap();
        copy_folder(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("rows")).unwrap(), b"rows");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
        assert_eq!(copy_folder(&from, &to), Err(StoreError::AlreadyThere));
    }
}
