//! A whole world for tests: keys, a simulated disk, a clock set by hand, and the people.
//!
//! A [`World`] outlives the vaults opened in it, as a machine outlives its processes.
//! It remembers every answer it was given; [`World::check`] asks whether all of them
//! still hold, and whether records, lists and log agree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kabao::catalog::Catalog;
use kabao::catalog::certificate_type::{HolderKind, NumberKind, ValidityRule};
use kabao::catalog::field::Required;
use kabao::domain::digest::Digest;
use kabao::domain::lifecycle::State;
use kabao::domain::number::CertificateIdentifier;
use kabao::domain::party::{HolderCode, HolderCodeType};
use kabao::domain::time::UnixTime;
use kabao::domain::uscc::Uscc;
use kabao::keys::development::Development;
use kabao::keys::envelope::SecretKey;
use kabao::keys::index::IndexKey;
use kabao::keys::random::SeededRandom;
use kabao::keys::soft::SoftSigner;
use kabao::keys::{Algorithm, Signer};
use kabao::log::audit::Fold;
use kabao::log::tile::{EntryBundle, TileKind, TilePath};
use kabao::pki::hierarchy::{ChainKeys, Department, Founding, Installation, Issuer, department, found};
use kabao::store::Store;
use kabao::store::head_lock::{HeadLock, LockedHead};
use kabao::store::sim::{Faults, Sim, SimDisk, SimLock, Syncing};
use kabao::vault::clock::HandClock;
use kabao::vault::guard::{Caller, Role};
use kabao::vault::issue::{IssueOrder, OrderHolder};
use kabao::vault::keyring::{IssuerKey, IssuerKeyState, Keyring};
use kabao::vault::opening::{ClockStep, OpenError, Opening};
use kabao::vault::registry::{Allowed, Registration, RegistrationState};
use kabao::vault::verify::Case;
use kabao::vault::view::Reveal;
use kabao::vault::{Settings, Vault, VaultError};

/// A world that outlives the vaults opened in it.
pub(crate) struct World {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) disk: SimDisk,
    pub(crate) lock: SimLock,
    pub(crate) random: Arc<SeededRandom>,
    syncing: Syncing,
    /// Every certificate whose issue was acknowledged, and the state last acknowledged.
    pub(crate) acknowledged: Mutex<BTreeMap<CertificateIdentifier, State>>,
}

impl Default for World {
    fn default() -> Self {
        Self::syncing(Syncing::On)
    }
}

impl World {
    pub(crate) fn syncing(syncing: Syncing) -> Self {
        let now: UnixTime = "2026-11-23T02:00:00Z".parse().unwrap();
        let origin = settings().origin();
        let empty = LockedHead { origin, size: 0, root: Digest::of(&[]) };
        Self {
            catalog: catalog(),
            keyring: keyring(now),
            clock: Arc::new(HandClock::at(now)),
            disk: SimDisk::new(7),
            lock: SimLock::new(Some(empty)),
            random: Arc::new(SeededRandom::danger_seeded(7)),
            syncing,
            acknowledged: Mutex::default(),
        }
    }

    /// Opens the vault in a process whose writes go wrong as planned.
    pub(crate) fn try_open(&self, faults: &Faults) -> Result<Vault, OpenError> {
        let store = Sim::open(&self.disk, faults)?.with_syncing(self.syncing);
        self.open_on(Arc::new(store), Box::new(self.lock.reopen(faults)))
    }

    /// Opens the vault on any store, beside any lock.
    pub(crate) fn open_on(&self, store: Arc<dyn Store>, lock: Box<dyn HeadLock>) -> Result<Vault, OpenError> {
        let vault = Vault::open(Opening {
            store,
            lock,
            catalog: Arc::clone(&self.catalog),
            keyring: Arc::clone(&self.keyring),
            clock: self.clock.clone(),
            random: self.random.clone(),
            settings: settings(),
            clock_step: ClockStep::Refuse,
        })?;
        match vault.register_first(&registrations()) {
            Ok(()) | Err(VaultError::Forbidden) => Ok(vault),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn open(&self) -> Vault {
        self.try_open(&Faults::none()).unwrap()
    }

    /// Issues and remembers the acknowledgement.
    pub(crate) fn issue(
        &self,
        vault: &Vault,
        order: IssueOrder,
    ) -> Result<CertificateIdentifier, VaultError> {
        let issued = vault.issue(&officer(), order)?;
        self.acknowledged.lock().unwrap().insert(issued.identifier.clone(), State::Active);
        Ok(issued.identifier)
    }

    /// Every answer ever given still holds; records, status lists and log agree.
    #[track_caller]
    pub(crate) fn check(&self, vault: &Vault) {
        for (identifier, state) in self.acknowledged.lock().unwrap().iter() {
            let view = vault.issued(&officer(), identifier, Reveal::Masked);
            let view = view.unwrap_or_else(|error| panic!("{identifier} was acknowledged: {error}"));
            let now = view.changes.last().map_or(State::Active, |change| {
                State::ALL.into_iter().find(|to| moves_to(change.kind, *to)).unwrap()
            });
            assert!(
                now >= *state || now == State::Active,
                "{identifier}: {now:?}, acknowledged as {state:?}"
            );
        }
        check_log(vault);
    }
}

fn moves_to(kind: kabao::domain::lifecycle::ChangeKind, to: State) -> bool {
    kabao::domain::lifecycle::MOVES.iter().any(|(_, done, reached)| *done == kind && *reached == to)
}

/// Folding the log gives the published lists bit for bit.
#[track_caller]
pub(crate) fn check_log(vault: &Vault) {
    let (size, root) = vault.log_head();
    let log = u16::try_from(vault.settings().log).unwrap();
    let mut fold = Fold::default();
    let mut edge = kabao::log::merkle::Edge::empty();
    for index in 0..size.div_ceil(256) {
        let width = u16::try_from((size - index * 256).min(256)).unwrap();
        let path = TilePath::new(TileKind::Entries, index, width).unwrap();
        let bundle = EntryBundle::decode(&vault.tile(log, &path).unwrap().unwrap(), width).unwrap();
        for (offset, entry) in bundle.entries().iter().enumerate() {
            let at = index * 256 + u64::try_from(offset).unwrap();
            fold.apply_bytes(at, entry).unwrap_or_else(|misfit| panic!("entry {at}: {misfit}"));
            edge.push(kabao::log::merkle::leaf_hash(entry));
        }
    }
    assert_eq!(edge.root(), root, "the tree of the entries is not the released one");
    vault.sign_changed_lists().unwrap();
    for uri in vault.status_uris() {
        let list = uri.rsplit_once('/').unwrap().1.parse().unwrap();
        let signed = vault.status_token(list).unwrap().unwrap();
        let keys = [vault.keyring().status.public_key().clone()];
        let token = kabao::status::token::UnverifiedStatusToken::parse(&signed.jwt).unwrap();
        let token = token.verify(&keys, &uri, vault.now()).unwrap();
        assert_eq!(fold.first_difference(list, token.list().as_bytes()), Ok(None), "list {list}");
    }
}

pub(crate) fn settings() -> Settings {
    Settings { url: "https://kabao.example.org".into(), log: 0 }
}

/// The catalogue is big and never changes: read once.
pub(crate) fn catalog() -> Arc<Catalog> {
    static CATALOG: std::sync::OnceLock<Arc<Catalog>> = std::sync::OnceLock::new();
    Arc::clone(CATALOG.get_or_init(|| Arc::new(Catalog::embedded().unwrap())))
}

pub(crate) fn uscc(text: &str) -> Uscc {
    text.parse().unwrap()
}

/// The issuing department of the world: synthetic.
pub(crate) const DEPARTMENT: &str = "11500199XT0TEXT11P";
/// Another department.
pub(crate) const OTHER_DEPARTMENT: &str = "125001994504A0014R";
/// The agency of the world.
pub(crate) const AGENCY: &str = "91500199MA5TEXT11J";
/// Another agency.
pub(crate) const OTHER_AGENCY: &str = "91500199MA5U00011K";
/// Synthetic persons (STANDARDS 2.1).
pub(crate) const PERSONS: [&str; 4] =
    ["500199199003071231", "500199200002290040", "50019919850615101X", "500199199912310025"];

fn caller(id: &str, role: Role, organisation: Option<&str>) -> Caller {
    Caller { id: id.into(), role, organisation: organisation.map(uscc), holder: None }
}

pub(crate) fn officer() -> Caller {
    caller("officer", Role::Officer, Some(DEPARTMENT))
}

pub(crate) fn other_officer() -> Caller {
    caller("other-officer", Role::Officer, Some(OTHER_DEPARTMENT))
}

pub(crate) fn clerk() -> Caller {
    caller("clerk", Role::Clerk, Some(AGENCY))
}

pub(crate) fn other_clerk() -> Caller {
    caller("other-clerk", Role::Clerk, Some(OTHER_AGENCY))
}

pub(crate) fn auditor() -> Caller {
    caller("auditor", Role::Auditor, None)
}

pub(crate) fn holder(vault: &Vault, number: &str) -> Caller {
    let code = HolderCode::parse(HolderCodeType::parse("111").unwrap(), number).unwrap();
    let tag = vault.holder_tag(&code);
    Caller { id: "h".into(), role: Role::Holder, organisation: None, holder: Some(tag.0) }
}

pub(crate) fn case(scenario: &str) -> Case {
    Case { scenario: scenario.into(), business_number: "2026-0001".into() }
}

pub(crate) fn registrations() -> Vec<Registration> {
    [officer(), other_officer(), clerk(), other_clerk(), auditor()]
        .into_iter()
        .map(|caller| Registration {
            name: format!("测试单位 {}", caller.id),
            id: caller.id,
            role: caller.role,
            organisation: caller.organisation,
            keys: vec![],
            types: Allowed::All,
            scenarios: Allowed::All,
            state: RegistrationState::Active,
        })
        .collect()
}

/// An order for a certificate of any type: every required field, each as long as it may be.
pub(crate) fn order(slug: &str, person: &str, number: u32) -> IssueOrder {
    let catalog = catalog();
    let kind = catalog.by_slug(slug).unwrap();
    let (code_type, code, name) = match kind.holder().kind {
        HolderKind::Entity => ("001", AGENCY.to_string(), "山城测试有限公司".to_string()),
        HolderKind::Both | HolderKind::Person => {
            ("111", person.to_string(), format!("渝测{}", &person[14..]))
        }
    };
    let printed = match kind.number().kind {
        NumberKind::ResidentNumber | NumberKind::Uscc => code.clone(),
        NumberKind::Ascii => format!("C{number:05}"),
        NumberKind::Text => format!("渝{number:05}"),
    };
    let from = "2026-11-01".parse::<kabao::domain::time::Date>().unwrap();
    let valid_until = match kind.validity().rule {
        ValidityRule::Until { months_max } | ValidityRule::Either { months_max } => {
            from.plus_months(months_max)
        }
        ValidityRule::Long | ValidityRule::None => None,
    };
    let fields = kind.fields().iter().filter(|field| field.required == Required::Yes);
    IssueOrder {
        certificate_type: slug.into(),
        holders: vec![OrderHolder { code_type: code_type.into(), code, name }],
        number: printed,
        issue_date: Some(from),
        valid_from: Some(from),
        valid_until,
        fields: fields.map(|field| (field.key.clone(), short(field.longest().to_json()))).collect(),
        request: None,
    }
}

/// Tables and lists with two rows, so that a world stays quick.
fn short(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(rows) = json.as_array_mut() {
        rows.truncate(2);
    }
    json
}

fn keyring(now: UnixTime) -> Arc<Keyring> {
    let random = SeededRandom::danger_seeded(1);
    let key = |algorithm| SoftSigner::generate(algorithm, &random).unwrap().0;
    let ed25519 = || key(Algorithm::Ed25519);
    let (root, authority, trust) = (ed25519(), ed25519(), ed25519());
    let (p256_root, p256_authority) = (key(Algorithm::P256), key(Algorithm::P256));
    let url = settings().url;
    let installation = Installation { public_url: &url, operator: "测试运营方" };
    let made = found(
        &Founding {
            installation,
            ed25519: ChainKeys { root: &root, root_x509: None, authority: &authority },
            p256: ChainKeys { root: &p256_root, root_x509: None, authority: &p256_authority },
            trust: trust.public_key(),
        },
        &random,
        now,
    )
    .unwrap();
    let issuers = [(DEPARTMENT, "测试发证局"), (OTHER_DEPARTMENT, "另一发证局")].map(|(code, name)| {
        let signer = ed25519();
        let above = Issuer { x509: &made.ed25519.authority, signer: &authority };
        let named = Department { uscc: code, name };
        let x509 = department(&installation, above, &named, signer.public_key(), &random, now).unwrap();
        IssuerKey {
            uscc: uscc(code),
            name_zh: name.into(),
            name_en: format!("Test office {code}"),
            kid: signer.public_key().kid(),
            chain: vec![x509.der().to_vec(), made.ed25519.authority.der().to_vec()],
            not_before: x509.not_before().seconds(),
            not_after: x509.not_after().seconds(),
            signer: Arc::new(signer),
            state: IssuerKeyState::Active,
        }
    });
    let secret = || SecretKey::generate(&random).unwrap();
    Arc::new(Keyring {
        development: Development::No,
        issuers: issuers.into(),
        log: Arc::new(ed25519()),
        status: Arc::new(ed25519()),
        receipt: Arc::new(ed25519()),
        show_authority: Arc::new(ed25519()),
        trust: Arc::new(trust),
        token: Arc::new(ed25519()),
        key_encryption: vec![(1, secret())],
        index: vec![IndexKey::new(&secret())],
        slots: secret(),
        anchors: vec![made.ed25519.root.der().to_vec()],
        trust_chain: vec![made.trust.der().to_vec()],
        history: vec![],
    })
}
