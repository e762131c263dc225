//! The simulated disk loses what it should lose, and keeps the contract.

use super::*;
use crate::store::Client;
use crate::store::Commit;
use crate::store::Row;
use crate::store::Sealed;
use crate::store::Store;
use crate::store::contract::World;
use crate::store::contract::contract_tests;

fn commit_of(name: usize) -> Commit {
    let client = Client { id: name.to_string(), sealed: Sealed::default() };
    Commit { rows: vec![Row::from(client)], head: None }
}

fn kept(disk: &SimDisk) -> Vec<bool> {
    let store = Sim::open(disk, &Faults::none()).unwrap();
    (0..WRITES).map(|name| store.client(&name.to_string()).unwrap().is_some()).collect()
}

const WRITES: usize = 12;

#[test]
fn a_crash_leaves_a_beginning_of_the_unsynced_writes_and_the_same_one_for_the_same_seed() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let end = || {
            let disk = SimDisk::new(seed);
            let store = Sim::open(&disk, &Faults::none()).unwrap().with_syncing(Syncing::Off);
            for name in 0..WRITES {
                store.commit(commit_of(name)).unwrap();
                if name == 3 {
                    Store::sync(&store).unwrap();
                }
            }
            disk.crash();
            assert_eq!(store.head(), Err(StoreError::Stopped));
            kept(&disk)
        };
        let first = end();
        assert_eq!(first, end());
        let length = first.iter().take_while(|kept| **kept).count();
        assert!(length >= 4, "lost what was synced");
        assert!(first.iter().skip(length).all(|kept| !kept), "left a hole");
        lengths.insert(length);
    }
    assert!(lengths.len() > 5, "the seed decides: {lengths:?}");
}

#[test]
fn what_was_synced_survives_any_crash() {
    for seed in 0..10 {
        let disk = SimDisk::new(seed);
        let store = Sim::open(&disk, &Faults::none()).unwrap();
        for name in 0..WRITES {
            store.commit(commit_of(name)).unwrap();
        }
        disk.crash();
        assert!(kept(&disk).into_iter().all(|kept| kept));
    }
}

#[test]
fn a_fault_stops_the_store_and_leaves_what_it_says() {
    for (fault, expected) in
        [(Fault::BeforeWrite, Some(false)), (Fault::AfterWrite, Some(true)), (Fault::DuringWrite, None)]
    {
        let mut ends = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            let store = Sim::open(&disk, &Faults::at(1, fault)).unwrap();
            store.commit(commit_of(0)).unwrap();
            assert_eq!(store.commit(commit_of(1)), Err(StoreError::Io));
            assert_eq!(store.commit(commit_of(2)), Err(StoreError::Stopped));
            assert_eq!(store.client("0"), Err(StoreError::Stopped));
            disk.crash();
            let kept = kept(&disk);
            assert!(kept[0] && !kept[2]);
            ends.insert(kept[1]);
        }
        match expected {
            Some(end) => assert_eq!(ends, [end].into()),
            None => assert_eq!(ends.len(), 2),
        }
    }
}

#[test]
fn store_and_lock_count_their_writes_together() {
    let root = crate::domain::digest::Digest::of(&[]);
    let head = |size| LockedHead { origin: "log.example".to_owned(), size, root };
    let faults = Faults::at(1, Fault::AfterWrite);
    let store = Sim::open(&SimDisk::new(0), &faults).unwrap();
    let lock = SimLock::new(Some(head(0)));
    let opened = lock.reopen(&faults);
    store.commit(commit_of(0)).unwrap();
    assert_eq!(opened.advance(&head(0), &head(1)), Err(LockError::Io));
    assert_eq!(opened.advance(&head(1), &head(2)), Err(LockError::Stopped));
    assert_eq!(faults.writes(), 2);
    assert_eq!(lock.reopen(&Faults::none()).read(), Ok(Some(head(1))));
}

struct Disk(SimDisk);

impl World for Disk {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Sim::open(&self.0, &Faults::none()).map(|store| Box::new(store) as Box<dyn Store>)
    }

    fn open_copy(&self, dir: &Path) -> Box<dyn Store> {
        Box::new(Sim::open(&SimDisk::read_copy(dir, 0).unwrap(), &Faults::none()).unwrap())
    }
}

contract_tests!(Disk(SimDisk::new(1)));
