//! RocksDB on a real disk: the contract, a second process, a copy.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::domain::digest::Digest;
use crate::store::Client;
use crate::store::Commit;
use crate::store::Entry;
use crate::store::Head;
use crate::store::Holder;
use crate::store::HolderId;
use crate::store::Row;
use crate::store::RowId;
use crate::store::Sealed;
use crate::store::Store;
use crate::store::content_digest;
use crate::store::contract::World;
use crate::store::contract::contract_tests;
use crate::store::head_lock::LockedHead;
use crate::store::head_lock::Opening;
use crate::store::head_lock::Refusal;
use crate::store::head_lock::open_rule;
use crate::store::sim::Sim;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        Rocks::create(&folder.path()).unwrap();
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }
}

impl World for Folder {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Rocks::open(&self.path()).map(|store| Box::new(store) as Box<dyn Store>)
    }

    fn open_copy(&self, dir: &Path) -> Box<dyn Store> {
        Box::new(Rocks::open(dir).unwrap())
    }
}

contract_tests!(Folder::new());

fn head(size: u64) -> Head {
    let root = Digest::of(&[&size.to_be_bytes()]);
    Head { log: 0, origin: "log.example".to_owned(), size, root, note: b"signed".to_vec() }
}

fn step(size: u64) -> Commit {
    let entry = Entry { log: 0, index: size - 1, bytes: vec![7; 100] };
    Commit { rows: vec![entry.into()], head: Some(head(size)) }
}

/// The files as they are while the store is open: what a power cut would leave, were every write on disk.
fn snapshot(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// The write-ahead log with the last writes.
fn newest_log(dir: &Path) -> PathBuf {
    let logs = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap()
}

#[test]
fn an_open_store_that_is_cut_off_comes_back_whole() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    for size in 1..=20 {
        store.commit(step(size)).unwrap();
        let cut = folder.0.path().join(format!("cut-{size}"));
        snapshot(&folder.path(), &cut);
        let copy = Rocks::open(&cut).unwrap();
        assert_eq!(content_digest(&copy), content_digest(&*store));
    }
}

#[test]
fn a_log_cut_anywhere_leaves_whole_commits_and_the_head_lock_tells_what_is_missing() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let mut ends = vec![];
    for size in 1..=6 {
        store.commit(step(size)).unwrap();
        ends.push(fs::metadata(newest_log(&folder.path())).unwrap().len());
    }
    let lock = LockedHead::from(&head(6));
    let tree = |size| Some(head(size).root);
    for length in (0..=ends[5]).step_by(37).chain(ends.clone()) {
        let cut = folder.0.path().join(format!("cut-{length}"));
        if cut.exists() {
            continue;
        }
        snapshot(&folder.path(), &cut);
        File::options().write(true).open(newest_log(&cut)).unwrap().set_len(length).unwrap();
        // A commit is there if its last byte is.
        let whole = u64::try_from(ends.iter().filter(|end| **end <= length).count()).unwrap();
        let copy = match Rocks::open(&cut) {
            Ok(copy) => copy,
            // Cut before the first row of all.
            Err(error) => {
                assert_eq!((error, whole), (StoreError::Missing, 0));
                continue;
            }
        };
        let found = copy.head().unwrap();
        assert_eq!(found.as_ref().map_or(0, |head| head.size), whole, "length {length}");
        assert_eq!(u64::try_from(copy.entries(0, 0, 100).unwrap().len()), Ok(whole));
        let expected = if whole == 6 { Opening::Ready } else { Opening::Refuse(Refusal::Behind) };
        assert_eq!(open_rule(Some(&lock), found.as_ref(), tree), expected);
    }
}

#[test]
fn a_flipped_bit_in_the_log_never_changes_what_is_read() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    for size in 1..=5 {
        store.commit(step(size)).unwrap();
    }
    let length = fs::metadata(newest_log(&folder.path())).unwrap().len();
    for place in (0..usize::try_from(length).unwrap()).step_by(61) {
        let cut = folder.0.path().join(format!("flipped-{place}"));
        snapshot(&folder.path(), &cut);
        let log = newest_log(&cut);
        let mut bytes = fs::read(&log).unwrap();
        bytes[place] ^= 4;
        fs::write(&log, bytes).unwrap();
        // Refused, or a beginning of the history, which the head lock then refuses.
        if let Ok(copy) = Rocks::open(&cut) {
            let size = copy.head().unwrap().map_or(0, |head| head.size);
            assert!(size < 5, "place {place}");
            assert_eq!(u64::try_from(copy.entries(0, 0, 100).unwrap().len()), Ok(size));
        }
    }
}

#[test]
fn a_forgotten_key_is_in_no_file() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let secret: Vec<u8> = (0..64u8).map(|byte| byte.wrapping_mul(151) ^ 0x35).collect();
    let holder =
        |number: u8, sealed: &[u8]| Row::from(Holder { id: HolderId([number; 16]), sealed: sealed.into() });
    let mut rows: Vec<Row> = (1..200).map(|number| holder(number, &[number; 64])).collect();
    rows.push(holder(0, &secret));
    store.commit(Commit { rows, head: None }).unwrap();
    let found = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(secret.len()).any(|window| window == secret)).count()
    };
    assert!(found() > 0, "the test would not see it");
    store.commit(Commit { rows: vec![RowId::Holder(HolderId([0; 16])).into()], head: None }).unwrap();
    store.forget().unwrap();
    assert_eq!(found(), 0);
}

#[test]
fn a_store_is_made_once_and_opened_only_where_it_was_made() {
    let folder = Folder::new();
    assert_eq!(Rocks::create(&folder.path()).err(), Some(StoreError::AlreadyThere));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Rocks::open(empty.path()).err(), Some(StoreError::Missing));
    assert_eq!(Rocks::open(&empty.path().join("nowhere")).err(), Some(StoreError::Missing));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "looking must not leave anything");
}

#[test]
fn rocksdb_keeps_others_out_as_well() {
    let folder = Folder::new();
    let _store = folder.open().unwrap();
    fs::remove_file(folder.path().join(IN_USE_FILE)).unwrap();
    assert_eq!(folder.open().err(), Some(StoreError::InUse));
}

#[test]
fn a_layout_of_a_later_release_is_not_opened() {
    let folder = Folder::new();
    let store = Rocks::open(&folder.path()).unwrap();
    let key = codec::layout_key().to_vec();
    store.apply(vec![Mutation::Put { table: Table::Meta, key, value: vec![1, 2] }]).unwrap();
    drop(store);
    assert_eq!(folder.open().err(), Some(StoreError::Version { table: "meta", found: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn it_does_what_the_simulated_store_does(
        commits in vec(vec((0..30u8, any::<Option<u8>>()), 1..20), 1..20),
    ) {
        let folder = Folder::new();
        let (mut rocks, sim) = (folder.open().unwrap(), Sim::fresh());
        for (number, commit) in commits.into_iter().enumerate() {
            let rows: Vec<Row> = commit.into_iter().map(|(name, value)| match value {
                Some(value) => Row::from(Client { id: name.to_string(), sealed: Sealed::from(vec![value; 20]) }),
                None => Row::from(RowId::Client(name.to_string())),
            }).collect();
            rocks.commit(Commit { rows: rows.clone(), head: None }).unwrap();
            sim.commit(Commit { rows, head: None }).unwrap();
            if number % 5 == 4 {
                drop(rocks);
                rocks = folder.open().unwrap();
            }
        }
        prop_assert_eq!(content_digest(&*rocks), content_digest(&sim));
    }
}
