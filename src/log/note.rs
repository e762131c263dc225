//! Signed notes and the keys that verify them (C2SP signed-note, tlog-cosignature).
//!
//! A [`VerifierKey`] is an Ed25519 key with a name and one of two kinds of
//! signature. A [`VerifiedNote`] is a text that at least one given key signed,
//! and under which no given key's signature failed. Signatures of keys we were
//! not given are neither believed nor a fault.
//!
//! What is signed here is verified before it is handed out.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::Algorithm;
use crate::keys::PublicKey;
use crate::keys::Signature;
use crate::keys::Signer;

/// The name of a key, and the origin of a log: not empty, no space, no `+`, no control character.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyName(String);

impl KeyName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.contains(forbidden) {
            return Err(NoteError::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a key signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// The text of a note: type 1, Ed25519.
    Note,
    /// A checkpoint at a time, as a witness: type 4, cosignature/v1.
    Cosignature,
}

impl KeyKind {
    const fn type_byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }
}

/// An Ed25519 key with its name and what it signs. Its text form is a *vkey*.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    key: PublicKey,
}

impl VerifierKey {
    /// A key under that name.
    ///
    /// # Errors
    /// [`NoteError::Key`] unless it is Ed25519.
    pub fn new(name: KeyName, kind: KeyKind, key: PublicKey) -> Result<Self, NoteError> {
        if key.algorithm() == Algorithm::Ed25519 { Ok(Self { name, kind, key }) } else { Err(NoteError::Key) }
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The first four bytes of SHA-256(name ‖ LF ‖ type ‖ key). A hint, not an identity.
    pub fn id(&self) -> [u8; 4] {
        let kind = [b'\n', self.kind.type_byte()];
        let digest = Digest::of(&[self.name.0.as_bytes(), &kind, self.key.as_bytes()]);
        *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
    }

    /// The instant of a witness or `None` of a log, if this is that key's signature over the text.
    fn verify(&self, text: &str, body: &[u8]) -> Result<Option<UnixTime>, NoteError> {
        let (time, signature) = match self.kind {
            KeyKind::Note => (None, body),
            KeyKind::Cosignature => {
                let (seconds, signature) = body.split_first_chunk::<8>().ok_or(NoteError::SignatureFails)?;
                let seconds = i64::try_from(u64::from_be_bytes(*seconds)).ok();
                (Some(seconds.and_then(UnixTime::new).ok_or(NoteError::SignatureFails)?), signature)
            }
        };
        let signature = signature.try_into().map_err(|_| NoteError::SignatureFails)?;
        let message = time.map_or_else(|| text.to_owned(), |time| cosigned_message(text, time));
        if self.key.verify(message.as_bytes(), signature) { Ok(time) } else { Err(NoteError::SignatureFails) }
    }
}

/// The vkey: `name+8 hex digits+base64`.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.type_byte()], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        if key.len() > NAME_BYTES_MAX {
            return Err(NoteError::Key);
        }
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let kind = match bytes.first() {
            Some(1) => KeyKind::Note,
            Some(4) => KeyKind::Cosignature,
            _ => return Err(NoteError::Key),
        };
        let key = PublicKey::new(Algorithm::Ed25519, &bytes[1..]).map_err(|_| NoteError::Key)?;
        let vkey = Self::new(name.parse()?, kind, key)?;
        if hex::encode(vkey.id()) == id { Ok(vkey) } else { Err(NoteError::Key) }
    }
}

/// A note as it came: its signatures are not checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnverifiedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl UnverifiedNote {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::TooLarge`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed { part: "control character" });
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Malformed { part: "no empty line" })?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed { part: "no signature" })?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::TooLarge);
            }
            signatures.push(SignatureLine::parse(line)?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Believes the text if at least one of the keys signed it and none of them fails.
    ///
    /// # Errors
    /// [`NoteError::SignatureFails`] when a signature in the name of a given key is not by it,
    /// [`NoteError::Unknown`] when none of the keys signed.
    pub fn verify(self, keys: &[VerifierKey]) -> Result<VerifiedNote, NoteError> {
        let mut signed: Vec<Signed> = Vec::new();
        for line in &self.signatures {
            let known = |key: &&VerifierKey| *key.name() == line.name && key.id() == line.id;
            for key in keys.iter().filter(known) {
                let time = key.verify(&self.text, &line.body)?;
                if !signed.iter().any(|before| before.key == *key) {
                    signed.push(Signed { key: key.clone(), time });
                }
            }
        }
        if signed.is_empty() {
            return Err(NoteError::Unknown);
        }
        Ok(VerifiedNote { text: self.text, signed })
    }

    /// The text nobody has vouched for yet.
    pub fn unverified_text(&self) -> &str {
        &self.text
    }
}

/// A text that known keys signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedNote {
    text: String,
    signed: Vec<Signed>,
}

impl VerifiedNote {
    /// The text, with its last line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Which of the keys signed it, each once.
    pub fn signed(&self) -> &[Signed] {
        &self.signed
    }
}

/// A signature that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    key: VerifierKey,
    time: Option<UnixTime>,
}

impl Signed {
    /// The key that signed.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// When a witness says it saw the checkpoint; `None` for a plain signature.
    pub const fn time(&self) -> Option<UnixTime> {
        self.time
    }
}

/// The line by which the signer signs the text, with its line feed.
///
/// # Errors
/// [`NoteError::Malformed`] when the text cannot be a note's, [`NoteError::Key`] unless the key is Ed25519,
/// [`NoteError::CannotSign`].
pub fn sign(text: &str, name: &KeyName, signer: &dyn Signer) -> Result<String, NoteError> {
    line(text, name, KeyKind::Note, None, signer)
}

/// The line by which a witness cosigns a checkpoint's text at that time, with its line feed.
///
/// # Errors
/// As [`sign`].
pub fn cosign(text: &str, name: &KeyName, time: UnixTime, signer: &dyn Signer) -> Result<String, NoteError> {
    line(text, name, KeyKind::Cosignature, Some(time), signer)
}

/// The note of a text and signature lines that were made by [`sign`] and [`cosign`].
pub fn assemble(text: &str, lines: &[String]) -> String {
    format!("{text}\n{}", lines.concat())
}

fn line(
    text: &str,
    name: &KeyName,
    kind: KeyKind,
    time: Option<UnixTime>,
    signer: &dyn Signer,
) -> Result<String, NoteError> {
    if !text.ends_with('\n') || text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed { part: "text" });
    }
    let key = VerifierKey::new(name.clone(), kind, signer.public_key().clone())?;
    let (prefix, message) = match time {
        Some(time) => {
            let seconds = u64::try_from(time.seconds()).expect("an instant is not before 1970");
            (seconds.to_be_bytes().to_vec(), cosigned_message(text, time))
        }
        None => (Vec::new(), text.to_owned()),
    };
    let signature: Signature = signer.sign(message.as_bytes()).map_err(|_| NoteError::CannotSign)?;
    let body = [&prefix[..], &signature].concat();
    // A signature that does not verify tells more about the key than anyone should learn.
    key.verify(text, &body).map_err(|_| NoteError::CannotSign)?;
    Ok(format!("— {name} {}\n", STANDARD.encode([&key.id()[..], &body].concat())))
}

/// What a witness signs.
fn cosigned_message(text: &str, time: UnixTime) -> String {
    format!("cosignature/v1\ntime {}\n{text}", time.seconds())
}

/// `— name base64(id ‖ body)`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct SignatureLine {
    name: KeyName,
    id: [u8; 4],
    body: Vec<u8>,
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed { part: "signature line" };
        let (name, encoded) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed)?;
        let (id, body) = bytes.split_first_chunk::<4>().ok_or(malformed)?;
        if body.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name: name.parse().map_err(|_| malformed)?, id: *id, body: body.to_vec() })
    }
}

/// Why a note or a key is not accepted, or not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoteError {
    /// The signing key cannot be reached, or made a signature that does not verify.
    CannotSign,
    /// Not a vkey of type 1 or 4, or not an Ed25519 key.
    Key,
    /// Not a note.
    Malformed {
        /// What is wrong with it.
        part: &'static str,
    },
    /// Not a name that a key may have.
    Name,
    /// A signature in the name of a known key is not by that key.
    SignatureFails,
    /// Larger, or with more signatures, than we read.
    TooLarge,
    /// None of the known keys signed it.
    Unknown,
}

impl NoteError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::CannotSign => "log/cannot-sign",
            Self::Key => "log/verifier-key",
            Self::Malformed { .. } => "log/note-malformed",
            Self::Name => "log/key-name",
            Self::SignatureFails => "log/signature-fails",
            Self::TooLarge => "log/note-too-large",
            Self::Unknown => "log/signer-unknown",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Key => Some("a key looks like `example.gov.cn/log/0+530d903a+AekyeRrm…`"),
            Self::Name => {
                Some("a name is not empty and has no space and no `+`, like `example.gov.cn/log/0`")
            }
            Self::Unknown => Some("check that you hold the key of this log"),
            _ => None,
        }
    }
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotSign => f.write_str("the signing key cannot be used"),
            Self::Key => f.write_str("not the verifier key of a log or witness"),
            Self::Malformed { part } => write!(f, "not a signed note: {part}"),
            Self::Name => f.write_str("not a name that a key may have"),
            Self::SignatureFails => f.write_str("a signature in the name of a known key is not by that key"),
            Self::TooLarge => f.write_str("the note is too large"),
            Self::Unknown => f.write_str("no known key signed this note"),
        }
    }
}

impl std::error::Error for NoteError {}

/// Bytes of a note. Our own choice: a checkpoint with 16 cosignatures has 3 KB.
const NOTE_BYTES_MAX: usize = 65_536;

/// Signatures read in one note. C2SP asks for at least 16; Go's `note` reads 100.
const SIGNATURES_MAX: usize = 100;

/// Bytes of a key's name. Our own choice: a URL without its scheme fits.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::Signer as _;

    use super::*;
    use crate::keys::SignError;

    /// A key from a seed.
    pub(in crate::log) struct TestSigner(ed25519_dalek::SigningKey, PublicKey);

    impl TestSigner {
        pub(in crate::log) fn new(seed: u8) -> Self {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
            let public = PublicKey::new(Algorithm::Ed25519, key.verifying_key().as_bytes()).unwrap();
            Self(key, public)
        }

        pub(in crate::log) fn verifier(&self, name: &str, kind: KeyKind) -> VerifierKey {
            VerifierKey::new(name.parse().unwrap(), kind, self.1.clone()).unwrap()
        }
    }

    impl Signer for TestSigner {
        fn public_key(&self) -> &PublicKey {
            &self.1
        }

        fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
            Ok(self.0.sign(message).to_bytes())
        }
    }

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn parse(note: &str) -> Result<UnverifiedNote, NoteError> {
        UnverifiedNote::parse(note)
    }

    #[test]
    fn the_vector_of_c2sp_verifies() {
        let key: VerifierKey = VKEY.parse().unwrap();
        assert_eq!(key.to_string(), VKEY);
        let note = parse(NOTE).unwrap().verify(std::slice::from_ref(&key)).unwrap();
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(
            note.signed().iter().map(|signed| (signed.key(), signed.time())).collect::<Vec<_>>(),
            [(&key, None)]
        );
    }

    #[test]
    fn a_changed_note_is_never_believed() {
        let key: VerifierKey = VKEY.parse().unwrap();
        for place in 0..NOTE.len() {
            for bit in 0..8 {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[place] ^= 1 << bit;
                let Ok(note) = String::from_utf8(bytes) else { continue };
                let verified = parse(&note).and_then(|note| note.verify(std::slice::from_ref(&key)));
                assert!(verified.is_err(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn unknown_signatures_are_ignored_and_failing_known_ones_are_fatal() {
        let (one, two, three) = (TestSigner::new(1), TestSigner::new(2), TestSigner::new(3));
        let name: KeyName = "a.example".parse().unwrap();
        let keys = [one.verifier("a.example", KeyKind::Note), two.verifier("a.example", KeyKind::Note)];
        let text = "text\n";
        let by = |signer: &TestSigner| sign(text, &name, signer).unwrap();
        let verify = |lines: &[String], keys: &[VerifierKey]| {
            parse(&assemble(text, lines)).unwrap().verify(keys).map(|note| note.signed().len())
        };
        assert_eq!(verify(&[by(&three), by(&one)], &keys), Ok(1));
        assert_eq!(verify(&[by(&one), by(&two), by(&one)], &keys), Ok(2));
        assert_eq!(verify(&[by(&three)], &keys), Err(NoteError::Unknown));
        let other = sign("other\n", &name, &two).unwrap();
        assert_eq!(verify(&[by(&one), other.clone()], &keys), Err(NoteError::SignatureFails));
        assert_eq!(verify(&[by(&one), other], &keys[..1]), Ok(1));
    }

    #[test]
    fn a_cosignature_tells_its_time_and_is_no_plain_signature() {
        let witness = TestSigner::new(4);
        let (name, time): (KeyName, _) = ("w.example".parse().unwrap(), UnixTime::clamped(1_700_000_000));
        let key = witness.verifier("w.example", KeyKind::Cosignature);
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let text = "origin\n5\nbWVya2xl\n";
        let lines = [cosign(text, &name, time, &witness).unwrap()];
        let note = parse(&assemble(text, &lines)).unwrap().verify(std::slice::from_ref(&key)).unwrap();
        assert_eq!(note.signed()[0].time(), Some(time));
        let plain = witness.verifier("w.example", KeyKind::Note);
        assert_eq!(parse(&assemble(text, &lines)).unwrap().verify(&[plain]), Err(NoteError::Unknown));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = NOTE.rsplit_once("\n\n").unwrap().1;
        for (note, part) in [
            ("".to_owned(), "no empty line"),
            (format!("text\n{line}"), "no empty line"),
            ("text\n\n".to_owned(), "no signature"),
            (format!("text\n\n{}", line.trim_end()), "no signature"),
            (format!("text\n\n{line}\n"), "no signature"),
            (format!("te\txt\n\n{line}"), "control character"),
            (format!("text\n\n{}", line.replace('—', "-")), "signature line"),
            (format!("text\n\n{}", line.replace("foo ", "foo+ ")), "signature line"),
            ("text\n\n— name AAAAAA==\n".to_owned(), "signature line"),
            ("text\n\n— name AAAAAB==\n".to_owned(), "signature line"),
        ] {
            assert_eq!(parse(&note), Err(NoteError::Malformed { part }), "{note:?}");
        }
    }

    #[test]
    fn a_note_has_a_purse() {
        let line = NOTE.rsplit_once("\n\n").unwrap().1;
        assert!(parse(&format!("text\n\n{}", line.repeat(SIGNATURES_MAX))).is_ok());
        assert_eq!(parse(&format!("text\n\n{}", line.repeat(SIGNATURES_MAX + 1))), Err(NoteError::TooLarge));
        assert_eq!(parse(&"a".repeat(NOTE_BYTES_MAX + 1)), Err(NoteError::TooLarge));
        assert_eq!("a".repeat(NAME_BYTES_MAX + 1).parse::<KeyName>(), Err(NoteError::Name));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for vkey in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
            "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ] {
            assert_eq!(vkey.parse::<VerifierKey>(), Err(NoteError::Key), "{vkey:?}");
        }
        for name in ["", "a b", "a+b", "a\u{3000}b", "a\nb"] {
            assert_eq!(name.parse::<KeyName>(), Err(NoteError::Name), "{name:?}");
        }
    }
}
