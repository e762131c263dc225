//! What a leaf signs (extKeyUsage, RFC 5280, 4.2.1.12).
//!
//! No arc of OIDs is registered for us, so leaves carry published key purposes:
//! documentSigning (RFC 9336) for departments, tslSigning (ETSI TS 119 612) for
//! the trust bundle. They differ, so that no department can sign a trust bundle.

/// What a leaf signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeafUse {
    /// Credentials and documents: id-kp-documentSigning, RFC 9336.
    DocumentSigning,
    /// The trust bundle: id-tsl-kp-tslSigning, ETSI TS 119 612.
    TrustList,
}

impl LeafUse {
    /// The OID's components.
    pub const fn oid(self) -> &'static [u64] {
        match self {
            Self::DocumentSigning => &[1, 3, 6, 1, 5, 5, 7, 3, 36],
            Self::TrustList => &[0, 4, 0, 2231, 3, 0],
        }
    }

    /// The OID's content in DER.
    pub const fn oid_der(self) -> &'static [u8] {
        match self {
            Self::DocumentSigning => &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x24],
            Self::TrustList => &[0x04, 0x00, 0x91, 0x37, 0x03, 0x00],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_uses_are_two_and_written_alike_in_both_forms() {
        assert_ne!(LeafUse::DocumentSigning.oid_der(), LeafUse::TrustList.oid_der());
        for usage in [LeafUse::DocumentSigning, LeafUse::TrustList] {
            let oid = x509_parser::der_parser::oid::Oid::from(usage.oid()).unwrap();
            assert_eq!(oid.as_bytes(), usage.oid_der());
        }
    }
}
