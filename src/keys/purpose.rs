//! What a key is for. A key has one purpose for life.

use std::fmt;
use std::str::FromStr;

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// Signs issuing authorities and the trust key's x509. Offline but for that.
    Root,
    /// Signs the x509 of departments.
    Authority,
    /// A department's issuing key: credentials (Ed25519), documents and external wallets (P-256). Owner: its USCC.
    Issuer,
    /// Signs the trust bundle.
    Trust,
    /// Signs the checkpoints of the log.
    Log,
    /// Signs status lists.
    Status,
    /// Signs show keys; months.
    ShowAuthority,
    /// Signs offline codes; hours.
    Show,
    /// Signs the receipts of verifications.
    Receipt,
    /// Signs access tokens of the built-in token issuer.
    Token,
    /// Signs RFC 3161 time stamps.
    TimeStamp,
    /// Signs seal objects.
    SealMaker,
    /// A caller's key: a department's or an agency's system. Owner: its client id.
    Client,
    /// Wraps the keys of holders. A secret of 256 bits.
    KeyEncryption,
    /// Tags of the indexes. A secret of 256 bits.
    Index,
    /// Permutes the slots of status lists. A secret of 256 bits.
    SlotPermutation,
}

/// Whether a key signs, or is a shared secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A key pair that signs.
    Signing,
    /// A secret of 256 bits that never signs.
    Secret,
}

impl Purpose {
    /// Every purpose, in the order they are listed to people.
    pub const ALL: [Self; 16] = [
        Self::Root,
        Self::Authority,
        Self::Issuer,
        Self::Trust,
        Self::Log,
        Self::Status,
        Self::ShowAuthority,
        Self::Show,
        Self::Receipt,
        Self::Token,
        Self::TimeStamp,
        Self::SealMaker,
        Self::Client,
        Self::KeyEncryption,
        Self::Index,
        Self::SlotPermutation,
    ];

    /// Our name in files, in the log and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Authority => "authority",
            Self::Issuer => "issuer",
            Self::Trust => "trust",
            Self::Log => "log",
            Self::Status => "status",
            Self::ShowAuthority => "show-authority",
            Self::Show => "show",
            Self::Receipt => "receipt",
            Self::Token => "token",
            Self::TimeStamp => "time-stamp",
            Self::SealMaker => "seal-maker",
            Self::Client => "client",
            Self::KeyEncryption => "key-encryption",
            Self::Index => "index",
            Self::SlotPermutation => "slot-permutation",
        }
    }

    /// Whether it signs, or is a shared secret.
    pub const fn kind(self) -> Kind {
        match self {
            Self::KeyEncryption | Self::Index | Self::SlotPermutation => Kind::Secret,
            _ => Kind::Signing,
        }
    }

    /// How long such a key usually signs, in seconds. Our own choice; DESIGN says months for show
    /// authorities and hours for show keys.
    pub const fn lifetime(self) -> i64 {
        match self {
            Self::Root => 20 * YEAR,
            Self::Authority | Self::Log | Self::KeyEncryption | Self::Index | Self::SlotPermutation => {
                10 * YEAR
            }
            Self::ShowAuthority => 120 * DAY,
            Self::Show => DAY / 2,
            Self::Token | Self::Client => YEAR,
            _ => 3 * YEAR,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == text).ok_or(PurposeError)
    }
}

/// Not the name of a purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PurposeError;

impl PurposeError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "keys/purpose"
    }
}

impl fmt::Display for PurposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a purpose of keys")
    }
}

impl std::error::Error for PurposeError {}

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_is_found_by_its_name() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.name().parse(), Ok(purpose));
        }
        assert_eq!("Root".parse::<Purpose>(), Err(PurposeError));
    }
}
