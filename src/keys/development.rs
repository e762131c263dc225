//! The keys of the repository's `keys/` folder: everybody has them.
//!
//! They are known to the program by their kid, so that they are refused outside
//! development mode even where a file's own mark was taken away.

use std::sync::LazyLock;

use serde_json::Value;

use crate::keys::Algorithm;

/// Whether something was made for development and must not be trusted in earnest.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Development {
    /// For development only.
    Yes,
    /// In earnest.
    No,
}

/// A published development root, as it stands in `keys/`.
#[derive(Clone, Copy, Debug)]
pub struct PublishedRoot {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its key file, sealed under [`PASSPHRASE`].
    pub key_file: &'static str,
    /// Its x509, as PEM.
    pub x509_pem: &'static str,
}

/// Whether this kid is one of the published development keys.
#[must_use]
pub fn knows(kid: &str) -> bool {
    KIDS.iter().any(|known| known == kid)
}

/// The published development roots, one of each algorithm.
pub const ROOTS: [PublishedRoot; 2] = [
    PublishedRoot {
        algorithm: Algorithm::Ed25519,
        key_file: include_str!("../../keys/root-u3PUUKrU.json"),
        x509_pem: include_str!("../../keys/root-ed25519.pem"),
    },
    PublishedRoot {
        algorithm: Algorithm::P256,
        key_file: include_str!("../../keys/root-_gyC7isi.json"),
        x509_pem: include_str!("../../keys/root-p256.pem"),
    },
];

/// The passphrase of the `keys/` folder.
pub const PASSPHRASE: &str = "kabao-development";

static KIDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let kid = |root: &PublishedRoot| {
        let file: Value = serde_json::from_str(root.key_file).expect("the files of `keys/` are JSON");
        file["kid"].as_str().expect("the files of `keys/` have a kid").to_owned()
    };
    ROOTS.iter().map(kid).collect()
});

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::keys::soft::{KeyStore, KeyStoreError, Passphrase};

    #[test]
    fn the_committed_keys_open_in_development_only_and_are_all_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
        let passphrase = Passphrase::new(PASSPHRASE.into());
        let store = KeyStore::open_in_development(&folder, &passphrase).unwrap();
        let keys = store.list();
        assert_eq!(keys.len(), ROOTS.len());
        assert!(keys.iter().all(|info| knows(&info.kid) && info.development == Development::Yes));
        for root in ROOTS {
            assert!(keys.iter().any(|info| info.algorithm() == Some(root.algorithm)));
        }
        assert!(!knows(""));
        let refused = KeyStore::open(&folder, &passphrase).unwrap_err();
        assert!(matches!(refused, KeyStoreError::DevelopmentKey { .. }));
    }
}
