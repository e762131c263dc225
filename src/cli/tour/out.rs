//! DIR/out: what independent tools need to check the tour.

use std::path::{Path, PathBuf};

use super::{Stage, city};
use crate::catalog::Catalog;
use crate::cli::config::write_whole;
use crate::cli::hierarchy;
use crate::cli::report::Failure;
use crate::cli::source::Source;
use crate::cli::trusted::Trusted;
use crate::credential::offline::UnverifiedOfflineCode;
use crate::credential::qr::{self, Level, Qr};
use crate::credential::show_key::ShowKeyCertificate;
use crate::keys::{Algorithm, Purpose};
use crate::vault::clock::{Clock, SystemClock};

/// The folder.
pub(super) struct Out(PathBuf);

impl Out {
    /// Makes it.
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let out = dir.join("out");
        std::fs::create_dir_all(&out).map_err(|error| Failure::file(&out, &error))?;
        Ok(Self(out))
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub(super) fn bytes(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        write_whole(&self.path(name), bytes)
    }

    /// Writes everything that is known at the end.
    pub(super) async fn write(
        &self,
        stage: &Stage,
        trusted: &Trusted,
        credential: &str,
        offline: &str,
        receipt: &str,
    ) -> Result<(), Failure> {
        let source = Source::open(&stage.config.url)?;
        self.bytes("certificate.sd-jwt", credential.trim().as_bytes())?;
        self.bytes("offline.txt", offline.as_bytes())?;
        let refuse = |error: qr::QrError| Failure::refused(error).maybe_hint(error.hint());
        let picture = Qr::new(offline, Level::M, qr::OFFLINE_VERSION_MAX).map_err(refuse)?;
        self.bytes("offline.png", &picture.png(8).map_err(refuse)?)?;
        self.bytes("receipt.jws", receipt.as_bytes())?;
        self.chain(stage)?;
        let code = UnverifiedOfflineCode::parse(offline).map_err(Failure::refused)?;
        let show_key = ShowKeyCertificate::read_back(code.show_key()).map_err(Failure::refused)?;
        self.bytes("show-key.json", show_key.key().jwk().as_bytes())?;
        let content = trusted.bundle().content();
        for (name, keys) in [
            ("receipt-key.jwk", &content.receipt_keys),
            ("status-key.jwk", &content.status_keys),
            ("show-authority-key.jwk", &content.show_authority_keys),
        ] {
            let key = keys.first().ok_or_else(|| Failure::refused("the trust bundle lacks a key"))?;
            self.bytes(name, key.key.jwk().as_bytes())?;
        }
        self.bytes("log.vkey", content.log.vkey.as_bytes())?;
        for (name, path) in
            [("trust.jwt", "trust"), ("status.jwt", "status/0"), ("checkpoint", "log/0/checkpoint")]
        {
            self.bytes(name, &source.need(path).await?)?;
        }
        Ok(())
    }

    /// The chain of the department that issued the licence, and its root.
    fn chain(&self, stage: &Stage) -> Result<(), Failure> {
        let catalog = Catalog::embedded()?;
        let kind =
            catalog.by_slug("driving_licence").ok_or_else(|| Failure::refused("no driving licence"))?;
        let uscc = city::department_of(kind).uscc;
        let key = stage.keys.current(Purpose::Issuer, Some(&uscc), Algorithm::Ed25519, SystemClock.now())?;
        let pem = |name: String| {
            let x509 = hierarchy::read_pem(&stage.config.x509.join(name))?;
            Ok::<_, Failure>(x509.iter().map(|x509| x509.pem()).collect::<String>())
        };
        self.bytes("issuer-chain.pem", pem(hierarchy::chain_file(&key.info.kid))?.as_bytes())?;
        self.bytes("root.pem", pem(hierarchy::root_file(Algorithm::Ed25519))?.as_bytes())
    }
}
