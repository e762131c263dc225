//! The lock on disk, torn and whole, and every case of the opening rule.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A stand-in for the tree: the root of a history at a size.
fn root(history: &str, size: u64) -> Digest {
    Digest::of(&[history.as_bytes(), &size.to_be_bytes()])
}

fn locked(history: &str, size: u64) -> LockedHead {
    LockedHead { origin: "log.example".to_owned(), size, root: root(history, size) }
}

fn head(history: &str, size: u64) -> Head {
    let LockedHead { origin, size, root } = locked(history, size);
    Head { log: 0, origin, size, root, note: b"signed".to_vec() }
}

/// A tree that was `a` up to 5 and is `history` from there on.
fn tree(history: &str) -> impl Fn(u64) -> Option<Digest> {
    move |size| Some(if size <= 5 { root("a", size) } else { root(history, size) })
}

#[track_caller]
fn check(
    lock: Option<LockedHead>,
    head: Option<Head>,
    tree: impl Fn(u64) -> Option<Digest>,
    expected: Opening,
) {
    assert_eq!(open_rule(lock.as_ref(), head.as_ref(), tree), expected);
}

#[test]
fn a_lock_that_equals_the_head_opens() {
    check(Some(locked("a", 5)), Some(head("a", 5)), tree("a"), Opening::Ready);
}

#[test]
fn a_lock_behind_the_same_history_is_advanced() {
    check(Some(locked("a", 5)), Some(head("a", 7)), tree("a"), Opening::AdvanceLock(locked("a", 7)));
    check(Some(locked("a", 0)), Some(head("a", 1)), tree("a"), Opening::AdvanceLock(locked("a", 1)));
}

#[test]
fn a_lock_ahead_means_an_old_copy() {
    check(Some(locked("a", 7)), Some(head("a", 5)), tree("a"), Opening::Refuse(Refusal::Behind));
    check(Some(locked("a", 7)), None, tree("a"), Opening::Refuse(Refusal::Behind));
}

#[test]
fn a_lock_behind_another_history_means_a_fork() {
    check(Some(locked("b", 6)), Some(head("a", 7)), tree("a"), Opening::Refuse(Refusal::Forked));
}

#[test]
fn a_lock_of_the_same_size_with_another_root_means_a_fork() {
    check(Some(locked("b", 6)), Some(head("a", 6)), tree("a"), Opening::Refuse(Refusal::Forked));
}

#[test]
fn a_head_copied_over_another_tree_is_not_believed() {
    check(Some(locked("a", 6)), Some(head("a", 6)), tree("b"), Opening::Refuse(Refusal::Incomplete));
    check(Some(locked("a", 6)), Some(head("a", 7)), |_| None, Opening::Refuse(Refusal::Incomplete));
    let only_the_head = |size| (size == 7).then(|| root("a", 7));
    check(Some(locked("a", 6)), Some(head("a", 7)), only_the_head, Opening::Refuse(Refusal::Incomplete));
}

#[test]
fn a_used_database_without_a_lock_is_refused() {
    check(None, Some(head("a", 5)), tree("a"), Opening::Refuse(Refusal::NoLock));
}

#[test]
fn a_vault_that_was_never_used_opens() {
    check(None, None, tree("a"), Opening::Ready);
    check(Some(locked("a", 0)), None, tree("a"), Opening::Ready);
}

#[test]
fn a_lock_of_another_log_is_refused() {
    let other = LockedHead { origin: "other.example".to_owned(), ..locked("a", 5) };
    check(Some(other), Some(head("a", 5)), tree("a"), Opening::Refuse(Refusal::OtherOrigin));
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

/// A lock file advanced so far from 0, one by one, and closed.
fn place(size: u64) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("head.lock");
    let lock = FileLock::create(&path, &locked("a", 0)).unwrap();
    for from in 0..size {
        lock.advance(&locked("a", from), &locked("a", from + 1)).unwrap();
    }
    Place { _dir: dir, path }
}

fn spoil(path: &Path, slot: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let start = slot * 4096;
    for byte in &mut bytes[start + 512 - length..start + 512] {
        *byte ^= 0x5a;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_file_holds_the_newest_head_and_keeps_its_length() {
    for size in 0..6 {
        let place = place(size);
        assert_eq!(fs::metadata(&place.path).unwrap().len(), 8192);
        assert_eq!(FileLock::open(&place.path).unwrap().read(), Ok(Some(locked("a", size))));
    }
}

#[test]
fn after_a_torn_write_the_other_slot_is_used_and_the_rule_still_decides() {
    // Sequences begin at 1 for size 0, so the newest slot is the first one at even sizes.
    for (size, newest) in [(1, 1), (2, 0), (5, 1), (6, 0)] {
        let place = place(size);
        spoil(&place.path, newest, 40);
        let lock = FileLock::open(&place.path).unwrap().read().unwrap();
        assert_eq!(lock, Some(locked("a", size - 1)));
        let opening = |head| open_rule(lock.as_ref(), Some(&head), tree("a"));
        assert_eq!(opening(head("a", size)), Opening::AdvanceLock(locked("a", size)));
        assert_eq!(opening(head("a", size - 1)), Opening::Ready);
        if size >= 2 {
            assert_eq!(opening(head("a", size - 2)), Opening::Refuse(Refusal::Behind));
        }
        if size == 6 {
            let other = open_rule(lock.as_ref(), Some(&head("b", 6)), |size| Some(root("b", size)));
            assert_eq!(other, Opening::Refuse(Refusal::Forked));
        }
    }
}

#[test]
fn the_older_slot_may_be_torn_without_loss() {
    let place = place(5);
    spoil(&place.path, 0, 1);
    let lock = FileLock::open(&place.path).unwrap();
    assert_eq!(lock.read(), Ok(Some(locked("a", 5))));
    lock.advance(&locked("a", 5), &locked("a", 6)).unwrap();
    drop(lock);
    assert_eq!(FileLock::open(&place.path).unwrap().read(), Ok(Some(locked("a", 6))));
}

#[test]
fn any_one_flipped_byte_spoils_a_slot() {
    let good = slot(3, &locked("a", 9)).unwrap();
    assert!(parse_slot(&good).is_some_and(|held| held.head == locked("a", 9) && held.sequence == 3));
    for place in 0..good.len() {
        let mut bytes = good;
        bytes[place] ^= 1;
        assert!(parse_slot(&bytes).is_none(), "byte {place}");
    }
}

#[test]
fn two_torn_slots_are_refused() {
    let place = place(4);
    spoil(&place.path, 0, 1);
    spoil(&place.path, 1, 1);
    assert_eq!(FileLock::open(&place.path).err(), Some(LockError::Torn));
}

#[test]
fn an_only_slot_that_is_torn_is_refused() {
    let place = place(0);
    spoil(&place.path, 0, 1);
    assert_eq!(FileLock::open(&place.path).err(), Some(LockError::Torn));
}

#[test]
fn an_emptied_lock_holds_nothing_and_an_absent_one_is_told() {
    let place = place(4);
    fs::write(&place.path, b"").unwrap();
    let lock = FileLock::open(&place.path).unwrap().read().unwrap();
    assert_eq!(lock, None);
    assert_eq!(open_rule(None, Some(&head("a", 4)), tree("a")), Opening::Refuse(Refusal::NoLock));
    fs::remove_file(&place.path).unwrap();
    assert_eq!(FileLock::open(&place.path).err(), Some(LockError::Missing));
}

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let place = place(1);
    let first = FileLock::open(&place.path).unwrap();
    assert_eq!(FileLock::open(&place.path).err(), Some(LockError::InUse));
    drop(first);
    assert!(FileLock::open(&place.path).is_ok());
}

#[test]
fn a_lock_is_made_once() {
    let place = place(3);
    assert_eq!(FileLock::create(&place.path, &locked("a", 0)).err(), Some(LockError::AlreadyThere));
    assert_eq!(FileLock::open(&place.path).unwrap().read(), Ok(Some(locked("a", 3))));
    assert!(!place.path.with_extension("part").exists());
}

#[test]
fn the_lock_goes_on_from_what_it_holds_and_never_back() {
    let place = place(3);
    let lock = FileLock::open(&place.path).unwrap();
    assert_eq!(lock.advance(&locked("a", 2), &locked("a", 4)), Err(LockError::Moved));
    assert_eq!(lock.advance(&locked("b", 3), &locked("a", 4)), Err(LockError::Moved));
    assert_eq!(lock.advance(&locked("a", 3), &locked("a", 2)), Err(LockError::Back));
    assert_eq!(lock.advance(&locked("a", 3), &locked("b", 3)), Err(LockError::Back));
    let other = LockedHead { origin: "other.example".to_owned(), ..locked("a", 4) };
    assert_eq!(lock.advance(&locked("a", 3), &other), Err(LockError::Back));
    assert_eq!(lock.advance(&locked("a", 3), &locked("a", 3)), Ok(()));
    assert_eq!(lock.read(), Ok(Some(locked("a", 3))));
}

#[test]
fn the_lock_goes_over_to_a_new_log_only_from_what_it_holds() {
    let place = place(3);
    let lock = FileLock::open(&place.path).unwrap();
    let next = LockedHead { origin: "next.example".to_owned(), ..locked("b", 1) };
    assert_eq!(lock.begin_log(&locked("a", 2), &next), Err(LockError::Moved));
    assert_eq!(lock.begin_log(&locked("a", 3), &locked("b", 4)), Err(LockError::Back));
    lock.begin_log(&locked("a", 3), &next).unwrap();
    assert_eq!(lock.read(), Ok(Some(next.clone())));
    assert_eq!(lock.advance(&locked("a", 3), &locked("a", 4)), Err(LockError::Moved));
    drop(lock);
    assert_eq!(FileLock::open(&place.path).unwrap().read(), Ok(Some(next)));
}

#[test]
fn a_copied_directory_that_forked_is_refused() {
    // Both copies have the history `a` up to 5. The lock goes on with the first; the second goes its own way.
    let place = place(5);
    let lock = FileLock::open(&place.path).unwrap();
    lock.advance(&locked("a", 5), &locked("a", 6)).unwrap();
    let lock = lock.read().unwrap();
    let copy = |size| open_rule(lock.as_ref(), Some(&head("b", size)), tree("b"));
    assert_eq!(copy(6), Opening::Refuse(Refusal::Forked));
    assert_eq!(copy(7), Opening::Refuse(Refusal::Forked));
    let untouched = open_rule(lock.as_ref(), Some(&head("a", 5)), tree("a"));
    assert_eq!(untouched, Opening::Refuse(Refusal::Behind));
}

#[test]
fn an_origin_that_does_not_fit_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for length in [0, 256] {
        let long = LockedHead { origin: "x".repeat(length), ..locked("a", 0) };
        assert_eq!(FileLock::create(&dir.path().join("lock"), &long).err(), Some(LockError::TooLong));
    }
    let fits = LockedHead { origin: "x".repeat(255), ..locked("a", 0) };
    assert_eq!(FileLock::create(&dir.path().join("lock"), &fits).unwrap().read(), Ok(Some(fits)));
}
