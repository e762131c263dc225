//! The names rows go by: random identifiers, and keyed hashes of what must not be readable.
//!
//! None of them says anything by itself. Their `Debug` shows the first bytes
//! only, so that a log line can be told from another and nothing more.

use std::fmt;

/// A certificate's record. Random, given once, never printed on anything.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RowKey(pub [u8; 16]);

/// A holder. Random: it outlives a change of number, and a holder may have several numbers.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HolderId(pub [u8; 16]);

/// One showing of certificates (亮证).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShowingId(pub [u8; 16]);

/// A keyed hash of an identifier, a number, a code or a request id.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(pub [u8; 32]);

/// A keyed hash of an issuer's code, cut to eight bytes: there are thousands of issuers, not billions.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IssuerTag(pub [u8; 8]);

/// The first 16 bytes of a signing key's thumbprint.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyTag(pub [u8; 16]);

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "RowKey", &self.0)
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "HolderId", &self.0)
    }
}

impl fmt::Debug for ShowingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "ShowingId", &self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "Tag", &self.0)
    }
}

impl fmt::Debug for IssuerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "IssuerTag", &self.0)
    }
}

impl fmt::Debug for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(f, "KeyTag", &self.0)
    }
}

fn short(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}({}..)", hex::encode(bytes.iter().take(SHOWN_BYTES).copied().collect::<Vec<_>>()))
}

/// Enough to tell two lines of a trace apart.
const SHOWN_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_only_its_first_bytes() {
        assert_eq!(format!("{:?}", HolderId([0xab; 16])), "HolderId(ababab..)");
        assert_eq!(format!("{:?}", Tag([1; 32])), "Tag(010101..)");
    }
}
