//! Checkpoints: the head of a log, signed by it and cosigned by witnesses (C2SP tlog-checkpoint).
//!
//! A [`VerifiedCheckpoint`] was signed by the key that is trusted for its
//! origin. Two of one origin that no consistency proof joins are evidence
//! against the log.
//!
//! # Not here
//!
//! Whether a head may be signed. The writer signs only what extends the head it
//! signed last, and nothing leaves before that is on disk.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::Signer;
use crate::log::merkle::SIZE_MAX;
use crate::log::note;
use crate::log::note::KeyKind;
use crate::log::note::KeyName;
use crate::log::note::NoteError;
use crate::log::note::UnverifiedNote;
use crate::log::note::VerifierKey;

/// Origin, size and root of a log at some moment. Nobody has vouched for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    origin: KeyName,
    size: u64,
    root: Digest,
}

impl Checkpoint {
    /// The head of a log.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`] for a size above 2^63 - 1, or an empty tree with another root than
    /// SHA-256 of nothing.
    pub fn new(origin: KeyName, size: u64, root: Digest) -> Result<Self, CheckpointError> {
        if size > SIZE_MAX {
            return Err(CheckpointError::Malformed { part: "size" });
        }
        if size == 0 && root != Digest::of(&[]) {
            return Err(CheckpointError::Malformed { part: "root" });
        }
        Ok(Self { origin, size, root })
    }

    /// Which log it is of.
    pub const fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// The number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub const fn root(&self) -> &Digest {
        &self.root
    }

    /// The note to publish: this checkpoint, signed by the log under its origin's name.
    ///
    /// Takes the checkpoint, so that one plan is signed once.
    ///
    /// # Errors
    /// [`CheckpointError::Note`] when the key cannot sign.
    pub fn sign(self, signer: &dyn Signer) -> Result<String, CheckpointError> {
        let text = self.to_string();
        let line = note::sign(&text, &self.origin, signer)?;
        Ok(note::assemble(&text, &[line]))
    }
}

/// The text that is signed: three lines, each with its line feed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }
}

/// Takes three lines and nothing else: extension lines are not recommended, and we know none.
impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |part| CheckpointError::Malformed { part };
        let body = text.strip_suffix('\n').ok_or(malformed("last line"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("lines"));
        };
        let number: u64 = size.parse().map_err(|_| malformed("size"))?;
        if number.to_string() != size {
            return Err(malformed("size"));
        }
        let root = STANDARD.decode(root).map_err(|_| malformed("root"))?;
        let root = Digest::from_bytes(root.try_into().map_err(|_| malformed("root"))?);
        Self::new(origin.parse().map_err(|_| malformed("origin"))?, number, root)
    }
}

/// A checkpoint signed by the key trusted for its origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    cosignatures: Vec<Cosignature>,
}

impl VerifiedCheckpoint {
    /// Believes a note that the log signed. Cosignatures of these witnesses are checked too; how many are
    /// wanted is for the caller to say.
    ///
    /// # Errors
    /// [`CheckpointError`], by what is wrong.
    pub fn verify(
        note: UnverifiedNote,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<Self, CheckpointError> {
        if log.kind() != KeyKind::Note {
            return Err(CheckpointError::LogSignature);
        }
        let keys = [std::slice::from_ref(log), witnesses].concat();
        let note = note.verify(&keys)?;
        if !note.signed().iter().any(|signed| signed.key() == log) {
            return Err(CheckpointError::LogSignature);
        }
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin() != log.name() {
            return Err(CheckpointError::Origin);
        }
        let cosignature = |signed: &note::Signed| {
            signed.time().map(|time| Cosignature { witness: signed.key().name().clone(), time })
        };
        Ok(Self { checkpoint, cosignatures: note.signed().iter().filter_map(cosignature).collect() })
    }

    /// The checkpoint.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Who else saw it, each key once.
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

/// A witness's word that it saw a checkpoint, consistent with all it had seen before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cosignature {
    witness: KeyName,
    time: UnixTime,
}

impl Cosignature {
    /// The witness.
    pub const fn witness(&self) -> &KeyName {
        &self.witness
    }

    /// When.
    pub const fn time(&self) -> UnixTime {
        self.time
    }
}

/// Why a checkpoint is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The log itself did not sign it.
    LogSignature,
    /// The text is not a checkpoint.
    Malformed {
        /// What is wrong with it.
        part: &'static str,
    },
    /// The note around it is not accepted.
    Note(NoteError),
    /// It is of another log.
    Origin,
}

impl CheckpointError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::LogSignature => "log/log-signature-missing",
            Self::Malformed { .. } => "log/checkpoint-malformed",
            Self::Note(error) => error.code(),
            Self::Origin => "log/other-origin",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::LogSignature | Self::Origin => Some("check that you hold the key of this log"),
            Self::Malformed { .. } => None,
            Self::Note(error) => error.hint(),
        }
    }
}

impl From<NoteError> for CheckpointError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogSignature => f.write_str("the log did not sign this checkpoint"),
            Self::Malformed { part } => write!(f, "not a checkpoint: {part}"),
            Self::Note(error) => error.fmt(f),
            Self::Origin => f.write_str("the checkpoint is of another log"),
        }
    }
}

impl std::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::note::tests::TestSigner;

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint::new("log.example/0".parse().unwrap(), size, Digest::of(&[b"root"])).unwrap()
    }

    fn verify(
        note: &str,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        VerifiedCheckpoint::verify(UnverifiedNote::parse(note).unwrap(), log, witnesses)
    }

    #[test]
    fn a_signed_checkpoint_verifies_under_the_key_of_its_origin_only() {
        let log = TestSigner::new(1);
        let key = log.verifier("log.example/0", KeyKind::Note);
        let signed = checkpoint(7).sign(&log).unwrap();
        assert_eq!(verify(&signed, &key, &[]).unwrap().checkpoint(), &checkpoint(7));
        let other = TestSigner::new(2).verifier("log.example/0", KeyKind::Note);
        assert_eq!(verify(&signed, &other, &[]), Err(CheckpointError::Note(NoteError::Unknown)));

        // The right key under another name: what it signs is not this log's.
        let text = checkpoint(7).to_string();
        let name: KeyName = "log.example/1".parse().unwrap();
        let foreign = note::assemble(&text, &[note::sign(&text, &name, &log).unwrap()]);
        let key = log.verifier("log.example/1", KeyKind::Note);
        assert_eq!(verify(&foreign, &key, &[]), Err(CheckpointError::Origin));
    }

    #[test]
    fn a_witness_cannot_stand_in_for_the_log() {
        let (log, witness) = (TestSigner::new(1), TestSigner::new(2));
        let key = log.verifier("log.example/0", KeyKind::Note);
        let name: KeyName = "w.example".parse().unwrap();
        let witness_key = witness.verifier("w.example", KeyKind::Cosignature);
        let time = UnixTime::clamped(1_700_000_000);
        let text = checkpoint(7).to_string();
        let cosigned = note::cosign(&text, &name, time, &witness).unwrap();
        let alone = note::assemble(&text, std::slice::from_ref(&cosigned));
        let witnesses = std::slice::from_ref(&witness_key);
        assert_eq!(verify(&alone, &key, witnesses), Err(CheckpointError::LogSignature));
        assert_eq!(verify(&alone, &witness_key, &[]), Err(CheckpointError::LogSignature));

        let both = checkpoint(7).sign(&log).unwrap() + &cosigned;
        let verified = verify(&both, &key, witnesses).unwrap();
        assert_eq!(verified.cosignatures(), [Cosignature { witness: name, time }]);
        assert!(verify(&both, &key, &[]).unwrap().cosignatures().is_empty());
    }

    #[test]
    fn a_checkpoint_has_one_text() {
        let text = checkpoint(7).to_string();
        assert_eq!(text.parse(), Ok(checkpoint(7)));
        let root = STANDARD.encode(Digest::of(&[b"root"]).as_bytes());
        assert_eq!(text, format!("log.example/0\n7\n{root}\n"));
        for (wrong, part) in [
            (format!("o\n07\n{root}\n"), "size"),
            (format!("o\n+7\n{root}\n"), "size"),
            (format!("o\n9223372036854775808\n{root}\n"), "size"),
            (format!("o\n7\n{root}"), "last line"),
            (format!("o\n7\n{root}\nextension\n"), "lines"),
            (format!("o o\n7\n{root}\n"), "origin"),
            ("o\n7\nAAAA\n".to_owned(), "root"),
            (format!("o\n0\n{root}\n"), "root"),
            ("o\n7\n".to_owned(), "lines"),
        ] {
            assert_eq!(wrong.parse::<Checkpoint>(), Err(CheckpointError::Malformed { part }), "{wrong:?}");
        }
        let empty = Checkpoint::new("o".parse().unwrap(), 0, Digest::of(&[])).unwrap();
        assert_eq!(empty.to_string().parse(), Ok(empty));
    }
}
