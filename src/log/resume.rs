//! An audit that can stop and go on: the tree and the fold, side by side.
//!
//! An [`Audit`] whose [`stands_at`](Audit::stands_at) succeeds has read exactly
//! the entries of that checkpoint, and its lists are what they make. It can be
//! kept as bytes between runs. They are the auditor's own: who can change the
//! file can change what the audit says.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::digest::Digest;
use crate::log::audit::Bits;
use crate::log::audit::Fold;
use crate::log::audit::LISTS_MAX;
use crate::log::cbor::Malformed;
use crate::log::cbor::Reader;
use crate::log::cbor::Writer;
use crate::log::checkpoint::Checkpoint;
use crate::log::event::Minute;
use crate::log::merkle::Edge;
use crate::log::merkle::leaf_hash;
use crate::log::misfit::Misfit;
use crate::log::misfit::Reason;
use crate::log::note::KeyName;

/// A tree and the fold of its entries. They are always of one size.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Audit {
    edge: Edge,
    fold: Fold,
}

impl Audit {
    /// An audit that has read nothing; the fold may have been offered lists.
    ///
    /// # Errors
    /// [`ResumeError`] when the fold has taken entries already.
    pub fn begin(fold: Fold) -> Result<Self, ResumeError> {
        if fold.size() == 0 { Ok(Self { edge: Edge::empty(), fold }) } else { Err(ResumeError) }
    }

    /// Goes on where an audit was kept.
    ///
    /// # Errors
    /// [`ResumeError`] when the bytes are not a kept audit of this version.
    pub fn resume(bytes: &[u8]) -> Result<Self, ResumeError> {
        let mut reader = Reader::new(bytes);
        let audit = decode(&mut reader)?;
        reader.finish()?;
        Ok(audit)
    }

    /// Takes the next entries, as they were served.
    ///
    /// # Errors
    /// [`Misfit`] names the first that does not fit; those before it were taken.
    pub fn take<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<(), Misfit> {
        for entry in entries {
            self.fold.apply_bytes(self.edge.size(), entry.as_ref())?;
            self.edge.push(leaf_hash(entry.as_ref()));
        }
        Ok(())
    }

    /// Checks that the entries taken are exactly those of the checkpoint.
    ///
    /// # Errors
    /// [`Misfit`] with the size of the checkpoint when tree, size or origin differ.
    pub fn stands_at(&self, checkpoint: &Checkpoint) -> Result<(), Misfit> {
        let misfit = |reason| Err(Misfit { index: checkpoint.size(), reason });
        if checkpoint.size() != self.edge.size() {
            return misfit(Reason::OutOfOrder);
        }
        if *checkpoint.root() != self.edge.root() {
            return misfit(Reason::RootDiffers);
        }
        if self.fold.origin().is_some_and(|origin| origin != checkpoint.origin()) {
            return misfit(Reason::Opening);
        }
        Ok(())
    }

    /// The bytes to keep, for [`Audit::resume`].
    pub fn keep(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(10);
        writer.unsigned(VERSION);
        writer.unsigned(self.edge.size());
        writer.array(self.edge.roots().len());
        self.edge.roots().iter().for_each(|root| writer.bytes(root.as_bytes()));
        match &self.fold.opened {
            Some((origin, previous)) => {
                writer.text(origin.as_str());
                match previous {
                    Some(previous) => writer.text(&previous.to_string()),
                    None => writer.null(),
                }
            }
            None => {
                writer.null();
                writer.null();
            }
        }
        for number in [self.fold.minute.map(Minute::number), self.fold.hour, self.fold.trust_version] {
            match number {
                Some(number) => writer.unsigned(number),
                None => writer.null(),
            }
        }
        for lists in [&self.fold.lists, &self.fold.offered] {
            writer.array(lists.len() * 2);
            for (list, bits) in lists {
                writer.unsigned(u64::from(*list));
                writer.bytes(bits.as_bytes());
            }
        }
        writer.finish()
    }

    /// The number of entries taken: the index of the next.
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The right edge of the tree.
    pub const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The lists.
    pub const fn fold(&self) -> &Fold {
        &self.fold
    }
}

/// The bytes are not a kept audit of this version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResumeError;

impl ResumeError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "log/resume"
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        Some("remove the file and audit the log from its beginning")
    }
}

impl From<Malformed> for ResumeError {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kept audit cannot be read")
    }
}

impl std::error::Error for ResumeError {}

fn decode(reader: &mut Reader<'_>) -> Result<Audit, ResumeError> {
    if reader.array()? != 10 || reader.unsigned()? != VERSION {
        return Err(ResumeError);
    }
    let (size, mut roots) = (reader.unsigned()?, Vec::new());
    // What is not there ends the loop, whatever the count says.
    for _ in 0..reader.array()? {
        let root = reader.bytes()?.try_into().map_err(|_| ResumeError)?;
        roots.push(Digest::from_bytes(root));
    }
    let edge = Edge::new(size, roots).map_err(|_| ResumeError)?;
    let opened = opened(reader)?;
    let minute = number(reader)?.map(|number| Minute::new(number).ok_or(ResumeError)).transpose()?;
    let (hour, trust_version) = (number(reader)?, number(reader)?);
    let (lists, offered) = (lists(reader)?, lists(reader)?);
    let fold = Fold { size, opened, minute, hour, trust_version, lists, offered, lists_max: LISTS_MAX };
    Ok(Audit { edge, fold })
}

fn opened(reader: &mut Reader<'_>) -> Result<Option<(KeyName, Option<Checkpoint>)>, ResumeError> {
    let origin = if reader.null() { None } else { Some(reader.text()?) };
    let previous = if reader.null() { None } else { Some(reader.text()?) };
    let Some(origin) = origin else { return Ok(None) };
    let previous = previous.map(|text| text.parse().map_err(|_| ResumeError)).transpose()?;
    Ok(Some((origin.parse().map_err(|_| ResumeError)?, previous)))
}

fn number(reader: &mut Reader<'_>) -> Result<Option<u64>, ResumeError> {
    if reader.null() { Ok(None) } else { Ok(Some(reader.unsigned()?)) }
}

fn lists(reader: &mut Reader<'_>) -> Result<BTreeMap<u32, Bits>, ResumeError> {
    let mut lists = BTreeMap::new();
    for _ in 0..reader.array()? / 2 {
        let list = u32::try_from(reader.unsigned()?).map_err(|_| ResumeError)?;
        lists.insert(list, Bits::from_bytes(reader.bytes()?).ok_or(ResumeError)?);
    }
    Ok(lists)
}

const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::append::append;
    use crate::log::audit::tests::fold;
    use crate::log::audit::tests::log;
    use crate::log::audit::tests::status;
    use crate::log::event::Event;
    use crate::log::event::SlotValue;

    fn entries() -> Vec<Vec<u8>> {
        let mut events =
            vec![Event::ListOpened { list: 0 }, Event::Trust { version: 4, digest: Digest::of(&[]) }];
        events.extend((0..20).map(|index| status(0, index * 50_000, SlotValue::Suspended)));
        log(None, &events)
    }

    fn checkpoint(origin: &str, entries: &[Vec<u8>]) -> Checkpoint {
        let appended = append(&Edge::empty(), entries).unwrap();
        Checkpoint::new(origin.parse().unwrap(), appended.size(), appended.root()).unwrap()
    }

    #[test]
    fn an_audit_that_stopped_anywhere_ends_like_one_that_did_not() {
        let entries = entries();
        let mut whole = Audit::default();
        whole.take(&entries).unwrap();
        assert_eq!(whole.fold(), &fold(&entries).unwrap());
        for stop in 0..=entries.len() {
            let mut audit = Audit::default();
            audit.take(&entries[..stop]).unwrap();
            let mut audit = Audit::resume(&audit.keep()).unwrap();
            audit.take(&entries[stop..]).unwrap();
            assert_eq!(audit, whole);
        }
        assert_eq!(whole.stands_at(&checkpoint("log.example/0", &entries)), Ok(()));
    }

    #[test]
    fn entries_that_are_not_those_of_the_checkpoint_are_noticed() {
        let entries = entries();
        let head = checkpoint("log.example/0", &entries);
        let misfit = |reason| Err(Misfit { index: head.size(), reason });
        let mut audit = Audit::default();
        audit.take(&entries[..5]).unwrap();
        assert_eq!(audit.stands_at(&head), misfit(Reason::OutOfOrder));

        // A revocation hidden from this auditor: another one stands in its place.
        let mut changed = entries.clone();
        changed[11].clone_from(&log(None, &vec![Event::Shredded { count: 1 }; 11])[11]);
        let mut audit = Audit::default();
        audit.take(&changed).unwrap();
        assert_eq!(audit.stands_at(&head), misfit(Reason::RootDiffers));

        let mut audit = Audit::default();
        audit.take(&entries).unwrap();
        let other = checkpoint("log.example/1", &entries);
        assert_eq!(audit.stands_at(&other), misfit(Reason::Opening));
    }

    #[test]
    fn a_damaged_file_is_not_gone_on_with() {
        let mut audit = Audit::default();
        audit.take(&entries()).unwrap();
        let bytes = audit.keep();
        assert_eq!(Audit::resume(&bytes[..bytes.len() - 1]), Err(ResumeError));
        assert_eq!(Audit::resume(&[&bytes[..], &[0]].concat()), Err(ResumeError));
        // Arrays that claim 2^64 - 1 items end where their bytes do.
        assert_eq!(Audit::resume(&hex::decode("8a01009bffffffffffffffff").unwrap()), Err(ResumeError));
        assert!(Audit::begin(audit.fold().clone()).is_err());
    }
}
