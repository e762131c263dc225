//! Keyed tags: how a number is found again without standing in any file.
//!
//! HMAC-SHA-256 (RFC 2104) over a label and parts, each with its length before
//! it, so that no two different questions share a tag. Whoever lacks the key can
//! neither compute a tag nor try out numbers against one.

use std::fmt;

use ring::hmac;

use crate::keys::envelope::SecretKey;

/// The key of the indexes. It does not print.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

impl IndexKey {
    /// An index key made of this secret.
    pub fn new(secret: &SecretKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// The tag of these parts under this label. Labels keep indexes apart: `holder`, `number`, …
    pub fn tag(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [label.as_bytes()].iter().chain(parts) {
            let length = u64::try_from(part.len()).expect("a length fits in 64 bits");
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_questions_have_different_tags() {
        let key = IndexKey::new(&SecretKey::from_bytes(&[1; 32]));
        let tags = [
            key.tag("a", &[]),
            key.tag("a", &[b""]),
            key.tag("a", &[b"", b""]),
            key.tag("a", &[b"bc"]),
            key.tag("a", &[b"b", b"c"]),
            key.tag("ab", &[b"c"]),
            key.tag("", &[b"a", b"bc"]),
        ];
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len());
    }

    #[test]
    fn the_key_decides_and_the_tag_is_stable() {
        let tag = |byte| IndexKey::new(&SecretKey::from_bytes(&[byte; 32])).tag("holder", &[b"111", b"x"]);
        assert_eq!(tag(1), tag(1));
        assert_ne!(tag(1), tag(2));
        assert_eq!(format!("{:?}", IndexKey::new(&SecretKey::from_bytes(&[1; 32]))), "IndexKey(..)");
    }
}
