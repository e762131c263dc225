//! Seats: how many of something each of many may have at once.
//!
//! A [`Seat`] is given back when it is dropped. Nobody is remembered who has none.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many seats each has taken.
pub(super) struct Seats<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Seats<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> Seats<K> {
    /// One more seat, unless `most` are taken.
    pub(super) fn take(self: &Arc<Self>, who: K, most: usize) -> Option<Seat<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&who).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        counts.insert(who.clone(), count + 1);
        Some(Seat { seats: Arc::clone(self), who })
    }
}

/// One seat that is taken.
pub(super) struct Seat<K: Eq + Hash> {
    seats: Arc<Seats<K>>,
    who: K,
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut counts = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_who_had_it_has_gone() {
        let seats = Arc::new(Seats::<&str>::default());
        let first = seats.take("a", 2);
        let second = seats.take("a", 2);
        assert!(first.is_some() && second.is_some() && seats.take("a", 2).is_none());
        assert!(seats.take("b", 2).is_some(), "others are not held up");
        drop(first);
        assert!(seats.take("a", 2).is_some());
        drop(second);
        assert!(seats.0.lock().unwrap().is_empty(), "nobody is remembered who has none");
    }
}
