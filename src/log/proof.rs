//! Proof files: everything needed to check offline that an entry is in the log (C2SP tlog-proof).
//!
//! A [`VerifiedEntry`] holds entry bytes that stand at that index of a log whose
//! checkpoint was signed by the key trusted for it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::digest::Digest;
use crate::log::checkpoint::CheckpointError;
use crate::log::checkpoint::VerifiedCheckpoint;
use crate::log::merkle::MerkleError;
use crate::log::merkle::PROOF_MAX;
use crate::log::merkle::leaf_hash;
use crate::log::merkle::verify_inclusion;
use crate::log::note::UnverifiedNote;
use crate::log::note::VerifierKey;

/// A proof file as it came. Nothing in it is checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnverifiedProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Digest>,
    note: String,
}

impl UnverifiedProof {
    /// A proof to hand out: index, hashes from leaf to root, and the published checkpoint.
    pub fn new(index: u64, hashes: Vec<Digest>, checkpoint_note: String) -> Self {
        Self { extra: None, index, hashes, note: checkpoint_note }
    }

    /// The same with data for the application, of at most 65,535 bytes.
    #[must_use]
    pub fn with_extra(self, extra: Vec<u8>) -> Self {
        Self { extra: Some(extra), ..self }
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ProofError::Malformed`], [`ProofError::TooLarge`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLarge);
        }
        let malformed = |part| ProofError::Malformed { part };
        let (head, note) = text.split_once("\n\n").ok_or(malformed("no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("first line"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                Some(STANDARD.decode(extra).map_err(|_| malformed("extra"))?)
            }
            None => None,
        };
        let line = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(malformed("index"))?;
        let index: u64 = line.parse().map_err(|_| malformed("index"))?;
        if index.to_string() != line {
            return Err(malformed("index"));
        }
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == PROOF_MAX {
                return Err(ProofError::TooLarge);
            }
            let bytes = STANDARD.decode(line).map_err(|_| malformed("hash"))?;
            hashes.push(Digest::from_bytes(bytes.try_into().map_err(|_| malformed("hash"))?));
        }
        Ok(Self { extra, index, hashes, note: note.to_owned() })
    }

    /// Believes that the entry is in the log.
    ///
    /// # Errors
    /// [`ProofError`], by what is wrong.
    pub fn verify(
        self,
        entry: Vec<u8>,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<VerifiedEntry, ProofError> {
        let note = UnverifiedNote::parse(&self.note).map_err(CheckpointError::Note)?;
        let checkpoint = VerifiedCheckpoint::verify(note, log, witnesses)?;
        let head = checkpoint.checkpoint();
        verify_inclusion(&leaf_hash(&entry), self.index, head.size(), head.root(), &self.hashes)?;
        Ok(VerifiedEntry { index: self.index, entry, checkpoint })
    }

    /// Where the entry is said to be.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Data for the application. Neither log nor witnesses vouch for it.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }
}

/// The text of the file.
impl fmt::Display for UnverifiedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.note)
    }
}

/// An entry that is in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedEntry {
    index: u64,
    entry: Vec<u8>,
    checkpoint: VerifiedCheckpoint,
}

impl VerifiedEntry {
    /// Its place in the log.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Its bytes.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The checkpoint it was proved under.
    pub const fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }
}

/// Why a proof file is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProofError {
    /// The checkpoint in it is not accepted.
    Checkpoint(CheckpointError),
    /// The hashes do not prove it.
    Inclusion(MerkleError),
    /// Not a proof file.
    Malformed {
        /// What is wrong with it.
        part: &'static str,
    },
    /// Larger than we read.
    TooLarge,
}

impl ProofError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Checkpoint(error) => error.code(),
            Self::Inclusion(error) => error.code(),
            Self::Malformed { .. } => "log/proof-malformed",
            Self::TooLarge => "log/proof-too-large",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Checkpoint(error) => error.hint(),
            Self::Inclusion(_) => Some("check that the proof belongs to this entry"),
            Self::Malformed { .. } => Some("a proof file begins with the line `c2sp.org/tlog-proof@v1`"),
            Self::TooLarge => None,
        }
    }
}

impl From<CheckpointError> for ProofError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl From<MerkleError> for ProofError {
    fn from(error: MerkleError) -> Self {
        Self::Inclusion(error)
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(error) => error.fmt(f),
            Self::Inclusion(error) => error.fmt(f),
            Self::Malformed { part } => write!(f, "not a proof file: {part}"),
            Self::TooLarge => f.write_str("the proof file is too large"),
        }
    }
}

impl std::error::Error for ProofError {}

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Bytes of a proof file. Our own choice: an extra of 65,535 bytes, 64 hashes and a note fit.
const PROOF_BYTES_MAX: usize = 262_144;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::checkpoint::Checkpoint;
    use crate::log::merkle::inclusion_proof;
    use crate::log::merkle::root;
    use crate::log::merkle::tests::Leaves;
    use crate::log::note::KeyKind;
    use crate::log::note::tests::TestSigner;

    fn proof(index: u64) -> (String, VerifierKey) {
        let (leaves, signer) = (Leaves::counted(70), TestSigner::new(1));
        let head = Checkpoint::new("log.example/0".parse().unwrap(), 70, root(70, &leaves).unwrap()).unwrap();
        let hashes = inclusion_proof(index, 70, &leaves).unwrap();
        let proof = UnverifiedProof::new(index, hashes, head.sign(&signer).unwrap());
        (proof.to_string(), signer.verifier("log.example/0", KeyKind::Note))
    }

    #[test]
    fn a_proof_file_proves_its_entry_and_no_other() {
        let (text, key) = proof(42);
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 42\n"), "{text}");
        let proof = UnverifiedProof::parse(&text).unwrap();
        let entry = 42u64.to_be_bytes().to_vec();
        let verified = proof.clone().verify(entry.clone(), &key, &[]).unwrap();
        assert_eq!((verified.index(), verified.entry()), (42, &entry[..]));
        assert_eq!(verified.checkpoint().checkpoint().size(), 70);
        let wrong = 43u64.to_be_bytes().to_vec();
        assert_eq!(proof.verify(wrong, &key, &[]), Err(ProofError::Inclusion(MerkleError::RootDiffers)));
    }

    #[test]
    fn a_changed_proof_file_proves_nothing() {
        let (text, key) = proof(42);
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let entry = 42u64.to_be_bytes().to_vec();
            let verified = UnverifiedProof::parse(&changed).and_then(|proof| proof.verify(entry, &key, &[]));
            assert!(verified.is_err(), "byte {place}");
        }
    }

    #[test]
    fn extra_data_survives_the_file() {
        let proof = UnverifiedProof::parse(&proof(0).0).unwrap().with_extra(b"photo".to_vec());
        assert_eq!(UnverifiedProof::parse(&proof.to_string()), Ok(proof.clone()));
        assert_eq!(proof.extra(), Some(&b"photo"[..]));
    }

    #[test]
    fn what_is_no_proof_file_is_refused() {
        let malformed = |part| Err(ProofError::Malformed { part });
        let hash = STANDARD.encode([0; 32]);
        let check = |text: &str, expected| assert_eq!(UnverifiedProof::parse(text), expected, "{text:?}");
        check("", malformed("no empty line"));
        check("c2sp.org/tlog-proof@v2\nindex 1\n\n", malformed("first line"));
        check("c2sp.org/tlog-proof@v1\nindex 01\n\n", malformed("index"));
        check("c2sp.org/tlog-proof@v1\nextra A\nindex 1\n\n", malformed("extra"));
        check("c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n", malformed("hash"));
        let hashes = format!("{hash}\n").repeat(PROOF_MAX + 1);
        check(&format!("c2sp.org/tlog-proof@v1\nindex 1\n{hashes}\n"), Err(ProofError::TooLarge));
        check(&"a".repeat(PROOF_BYTES_MAX + 1), Err(ProofError::TooLarge));
    }
}
