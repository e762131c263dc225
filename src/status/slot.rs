//! Which slot is next: a secret permutation of each list.
//!
//! Slots are counted 0, 1, 2, … and each count becomes a list and an index in
//! it. Every count has a slot of its own, so that none is given twice; and
//! without the secret nobody can tell from an index when it was given, or which
//! others were given with it (Token Status List, draft -20, privacy considerations).
//!
//! A Feistel network over 10 + 10 bits, with HMAC-SHA-256 under a key of the list
//! for its rounds, permutes 2^20 indices without keeping any.

use std::fmt;

use ring::hmac;

use crate::log::event::LIST_SLOTS;
use crate::status::list::SlotIndex;

/// A slot: the list and the place in it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Slot {
    /// The list.
    pub list: u32,
    /// The place in it.
    pub index: SlotIndex,
}

/// The permutation of every list, from one secret.
#[derive(Clone)]
pub struct Permutation(hmac::Key);

impl Permutation {
    /// The permutation that belongs to the secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The slot of that count: a slot no other count has. `None` past the last list.
    pub fn slot(&self, count: u64) -> Option<Slot> {
        let list = u32::try_from(count / u64::from(LIST_SLOTS)).ok()?;
        let within = u32::try_from(count % u64::from(LIST_SLOTS)).ok()?;
        Some(Slot { list, index: self.of_list(list).index(SlotIndex::new(within)?) })
    }

    /// The permutation of one list, for many slots of it.
    pub fn of_list(&self, list: u32) -> ListPermutation {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(LABEL);
        context.update(&list.to_be_bytes());
        ListPermutation(hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()))
    }
}

impl fmt::Debug for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permutation(..)")
    }
}

/// The permutation of one list.
#[derive(Clone)]
pub struct ListPermutation(hmac::Key);

impl ListPermutation {
    /// The index that the slot counted so within its list has.
    pub fn index(&self, count: SlotIndex) -> SlotIndex {
        let (mut left, mut right) = (count.number() >> HALF_BITS, count.number() & HALF_MASK);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        SlotIndex::new(left << HALF_BITS | right).expect("two halves of 10 bits make 20")
    }

    /// Ten bits that depend on the key, the round and the half.
    fn round(&self, round: u8, half: u32) -> u32 {
        let mut message = [0; 5];
        message[0] = round;
        message[1..].copy_from_slice(&half.to_be_bytes());
        let tag = hmac::sign(&self.0, &message);
        let bytes = tag.as_ref().last_chunk().expect("a tag of SHA-256 has 32 bytes");
        u32::from(u16::from_be_bytes(*bytes)) & HALF_MASK
    }
}

impl fmt::Debug for ListPermutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListPermutation(..)")
    }
}

const LABEL: &[u8] = b"kabao/slots/1";
const HALF_BITS: u32 = 10;
const HALF_MASK: u32 = (1 << HALF_BITS) - 1;

/// Luby and Rackoff need four against whoever may ask both ways. On halves as
/// small as ours more are wanted; each costs a quarter of a microsecond.
const ROUNDS: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(secret: u8, count: u64) -> Slot {
        Permutation::new(&[secret; 32]).slot(count).unwrap()
    }

    #[test]
    fn no_slot_of_a_list_is_given_twice() {
        let permutation = Permutation::new(&[7; 32]).of_list(3);
        let mut given = vec![0u8; 1 << 20];
        for count in 0..LIST_SLOTS {
            let index = permutation.index(SlotIndex::new(count).unwrap()).number();
            given[usize::try_from(index).unwrap()] += 1;
        }
        assert!(given.iter().all(|times| *times == 1));
    }

    #[test]
    fn a_count_finds_its_list_and_lists_differ() {
        let size = u64::from(LIST_SLOTS);
        assert_eq!([0, size - 1, size, 5 * size].map(|count| slot(1, count).list), [0, 0, 1, 5]);
        assert_ne!(slot(1, 0).index, slot(1, size).index);
        assert_ne!(slot(1, 0).index, slot(2, 0).index);
        assert_eq!(Permutation::new(&[1; 32]).slot(u64::MAX), None);
    }

    #[test]
    fn the_permutation_is_frozen() {
        // Computed once by another program. A change would give slots twice in lists that are half full.
        let indices = [0, 1, 2, 1_048_576].map(|count| slot(1, count).index.number());
        assert_eq!(indices, [270_262, 141_476, 532_356, 712_625]);
    }

    #[test]
    fn neighbours_do_not_stay_neighbours() {
        let near = (0..1000).filter(|count| {
            let (one, next) = (slot(1, *count).index.number(), slot(1, count + 1).index.number());
            one.abs_diff(next) < 1024
        });
        // By chance about two in a thousand lie that near.
        assert!(near.count() < 12);
    }

    #[test]
    fn the_secret_does_not_print() {
        let permutation = Permutation::new(&[1; 32]);
        assert_eq!(
            format!("{permutation:?}{:?}", permutation.of_list(0)),
            "Permutation(..)ListPermutation(..)"
        );
    }
}
