//! What was published of the status lists, as far as somebody kept it.
//!
//! After a loss the published status tokens may know ends that the backup does
//! not. Every end that was ever published is applied again; a suspension is, if
//! the newest token of its list has it and is newer than the backup. Nothing is
//! ever taken back: what the backup says stays, or becomes graver.
//!
//! # Limits
//!
//! At most [`TOKENS_MAX`] tokens; how long one may be is said in [`crate::status::token`].

use std::collections::BTreeMap;

use super::RestoreError;
use crate::keys::PublicKey;
use crate::log::event::SlotValue;
use crate::status::list::{ChunkIndex, SlotIndex, StatusList};
use crate::status::token::{UnverifiedStatusToken, VerifiedStatusList};
use crate::vault::Settings;

/// Lists that the status key once signed.
#[derive(Debug, Default)]
pub struct Published {
    lists: BTreeMap<u32, Evidence>,
    tokens: u64,
}

/// A place in the history of a vault: the log's number and size.
pub(super) type Place = (u16, u64);

#[derive(Debug)]
struct Evidence {
    /// Every end that any token has.
    ended: StatusList,
    /// The newest token's list.
    newest: StatusList,
    place: Place,
}

impl Published {
    /// Takes one status token of this vault, found in a file of that name.
    ///
    /// # Errors
    /// [`RestoreError::Published`] names the file when it is not one: what was passed over would be
    /// accepted again.
    pub fn take(
        &mut self,
        file: &str,
        token: &str,
        settings: &Settings,
        keys: &[PublicKey],
    ) -> Result<(), RestoreError> {
        if self.tokens == TOKENS_MAX {
            return Err(RestoreError::Published { file: file.into(), why: "one token too many".into() });
        }
        self.take_token(token, settings, keys)
            .map_err(|why| RestoreError::Published { file: file.into(), why })
    }

    /// How many tokens were read.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    fn take_token(&mut self, token: &str, settings: &Settings, keys: &[PublicKey]) -> Result<(), String> {
        let token = UnverifiedStatusToken::parse(token).map_err(|error| error.to_string())?;
        let token = token.verify_as_of_then(keys).map_err(|error| error.to_string())?;
        let list = list_of(&token, settings).ok_or("a list of another vault")?;
        let log = settings.log_of(token.log().origin().as_str()).ok_or("of another vault's log")?;
        let place = (log, token.log().size());
        self.tokens += 1;
        let Some(known) = self.lists.get_mut(&list) else {
            let (ended, newest) = (only_ended(token.list()), token.list().clone());
            self.lists.insert(list, Evidence { ended, newest, place });
            return Ok(());
        };
        for index in differing(&known.ended, token.list()) {
            if token.value(index) == SlotValue::Ended {
                known.ended.set(index, SlotValue::Ended);
            }
        }
        if place > known.place {
            known.newest = token.list().clone();
            known.place = place;
        }
        Ok(())
    }

    /// Applies what was published to the lists of a backup; tells the slots that became graver.
    pub(super) fn apply(
        &self,
        lists: &mut BTreeMap<u32, StatusList>,
        backup: Place,
    ) -> Vec<(u32, SlotIndex)> {
        let mut graver = Vec::new();
        for (list, evidence) in &self.lists {
            let kept = lists.entry(*list).or_default();
            for index in differing(&evidence.ended, kept) {
                if evidence.ended.value(index) == SlotValue::Ended {
                    kept.set(index, SlotValue::Ended);
                    graver.push((*list, index));
                }
            }
            if evidence.place <= backup {
                continue;
            }
            for index in differing(&evidence.newest, kept) {
                let suspended = evidence.newest.value(index) == SlotValue::Suspended;
                if suspended && kept.value(index) == SlotValue::Active {
                    kept.set(index, SlotValue::Suspended);
                    graver.push((*list, index));
                }
            }
        }
        graver
    }
}

fn list_of(token: &VerifiedStatusList, settings: &Settings) -> Option<u32> {
    let list = token.uri().rsplit_once('/')?.1.parse().ok()?;
    (settings.status_url(list) == token.uri()).then_some(list)
}

fn only_ended(list: &StatusList) -> StatusList {
    let mut ended = StatusList::new();
    for index in differing(&ended, list) {
        if list.value(index) == SlotValue::Ended {
            ended.set(index, SlotValue::Ended);
        }
    }
    ended
}

/// The slots in which two lists differ.
pub(super) fn differing(one: &StatusList, other: &StatusList) -> Vec<SlotIndex> {
    let chunks = (0..=u16::MAX).map_while(ChunkIndex::new);
    chunks
        .filter(|chunk| one.chunk(*chunk) != other.chunk(*chunk))
        .flat_map(|chunk| {
            let first = u32::from(chunk.number()) * SLOTS_PER_CHUNK;
            (first..first + SLOTS_PER_CHUNK).filter_map(SlotIndex::new)
        })
        .filter(|index| one.value(*index) != other.value(*index))
        .collect()
}

const SLOTS_PER_CHUNK: u32 = 256;

/// Tokens read for one restore. Our own choice: each list of a nation, kept fifty times.
const TOKENS_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[(u32, SlotValue)]) -> StatusList {
        let mut list = StatusList::new();
        for (index, value) in values {
            list.set(SlotIndex::new(*index).unwrap(), *value);
        }
        list
    }

    fn evidence(ended: &[u32], newest: &[(u32, SlotValue)], place: Place) -> Evidence {
        let ended: Vec<_> = ended.iter().map(|index| (*index, SlotValue::Ended)).collect();
        Evidence { ended: list(&ended), newest: list(newest), place }
    }

    #[track_caller]
    fn check(kept: &[(u32, SlotValue)], evidence: Evidence, expected: &[(u32, SlotValue)], graver: &[u32]) {
        let mut lists = BTreeMap::from([(3, list(kept))]);
        let published = Published { lists: BTreeMap::from([(3, evidence)]), tokens: 1 };
        let told: Vec<_> = published.apply(&mut lists, (0, 100)).iter().map(|(_, at)| at.number()).collect();
        assert_eq!(lists[&3], list(expected));
        assert_eq!(told, graver);
    }

    #[test]
    fn every_end_ever_published_is_applied_and_nothing_goes_back() {
        use SlotValue::{Active, Ended, Suspended};
        let kept = [(1, Ended), (2, Suspended), (700, Suspended)];
        check(
            &kept,
            evidence(&[700, 99_000], &[(2, Active)], (0, 101)),
            &[(1, Ended), (2, Suspended), (700, Ended), (99_000, Ended)],
            &[700, 99_000],
        );
        // Ends count whenever they were published, suspensions only if they are news.
        let newest = [(1, Suspended), (5, Suspended)];
        check(
            &kept,
            evidence(&[9], &newest, (0, 100)),
            &[(1, Ended), (2, Suspended), (9, Ended), (700, Suspended)],
            &[9],
        );
        check(&[(1, Ended)], evidence(&[], &newest, (0, 101)), &[(1, Ended), (5, Suspended)], &[5]);
        check(&[(1, Ended)], evidence(&[], &newest, (1, 2)), &[(1, Ended), (5, Suspended)], &[5]);
    }

    #[test]
    fn a_list_the_backup_does_not_know_is_taken_over() {
        let mut lists = BTreeMap::new();
        let published = Published { lists: BTreeMap::from([(8, evidence(&[4], &[], (0, 1)))]), tokens: 1 };
        assert_eq!(published.apply(&mut lists, (0, 5)).len(), 1);
        assert_eq!(lists[&8], list(&[(4, SlotValue::Ended)]));
    }
}
