//! The demo city: departments, agencies, people and companies that do not exist.
//!
//! Social credit codes and resident numbers carry the unassigned area 500199
//! (STANDARDS 2.1). Used by `kabao demo` and `kabao tour`.

use std::path::Path;
use std::sync::Arc;

use super::config::{Config, Mode, Organisation};
use super::report::Failure;
use super::{init, open, sample};
use crate::catalog::CertificateType;
use crate::domain::time::Date;
use crate::keys::random::{self, SystemRandom};
use crate::keys::soft::Passphrase;
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::guard::{Caller, Role};
use crate::vault::issue::OrderHolder;
use crate::vault::opening::ClockStep;
use crate::vault::{Vault, VaultError};

/// The departments: counter, names, and which departments of the catalogue they stand for.
const DEPARTMENTS: [(&str, &str, &[&str]); 8] = [
    ("示范市公安局", "Demo City Public Security Bureau", &["公安", "移民"]),
    ("示范市市场监督管理局", "Demo City Administration for Market Regulation", &["市场", "药品", "知识产权"]),
    ("示范市民政局", "Demo City Civil Affairs Bureau", &["民政", "退役"]),
    (
        "示范市人力资源和社会保障局",
        "Demo City Human Resources and Social Security Bureau",
        &["人力资源", "医疗保障"],
    ),
    ("示范市规划和自然资源局", "Demo City Planning and Natural Resources Bureau", &["规划", "住房"]),
    ("示范市交通运输局", "Demo City Transport Bureau", &["交通", "海事"]),
    ("示范市卫生健康委员会", "Demo City Health Commission", &["卫生", "职业"]),
    ("示范市政务服务管理局", "Demo City Government Services Bureau", &[]),
];

/// The agencies: kind of social credit code, names.
const AGENCIES: [(&str, &str, &str); 4] = [
    ("91", "示范银行", "Demo Bank"),
    ("91", "示范酒店", "Demo Hotel"),
    ("52", "示范诊所", "Demo Clinic"),
    ("11", "示范市公安局交通巡逻警察总队", "Demo City Traffic Police"),
];

/// The people: resident numbers of STANDARDS 2.1.
const PEOPLE: [(&str, &str); 3] =
    [("500199199003071231", "张小明"), ("500199200002290040", "李文静"), ("50019919850615101X", "王建国")];

/// Every department.
pub(super) fn departments() -> Vec<Organisation> {
    let department = |(n, (zh, en, _)): (u64, &(&str, &str, _))| Organisation {
        uscc: sample::uscc("11", n),
        zh: (*zh).to_owned(),
        en: (*en).to_owned(),
    };
    (1..).zip(&DEPARTMENTS).map(department).collect()
}

/// Every agency.
pub(super) fn agencies() -> Vec<Organisation> {
    let agency = |(n, (kind, zh, en)): (u64, &(&str, &str, &str))| Organisation {
        uscc: sample::uscc(kind, n),
        zh: (*zh).to_owned(),
        en: (*en).to_owned(),
    };
    (101..).zip(&AGENCIES).map(agency).collect()
}

/// A person, by place.
pub(super) fn person(place: usize) -> OrderHolder {
    let (code, name) = PEOPLE[place % PEOPLE.len()];
    OrderHolder { code_type: "111".into(), code: code.into(), name: name.into() }
}

/// A company, by place.
pub(super) fn company(place: u64) -> OrderHolder {
    sample::company(200 + place)
}

/// The department that issues a type.
pub(super) fn department_of(kind: &CertificateType) -> Organisation {
    let stands =
        |(_, _, parts): &(&str, &str, &[&str])| parts.iter().any(|part| kind.department().starts_with(part));
    let place = DEPARTMENTS.iter().position(stands).unwrap_or(DEPARTMENTS.len() - 1);
    departments().swap_remove(place)
}

/// The officer of a department.
pub(super) fn officer(department: &Organisation) -> Result<Caller, Failure> {
    caller(init::officer_id(&department.uscc), Role::Officer, department)
}

/// The clerk of an agency.
pub(super) fn clerk(agency: &Organisation) -> Result<Caller, Failure> {
    caller(init::clerk_id(&agency.uscc), Role::Clerk, agency)
}

fn caller(id: String, role: Role, organisation: &Organisation) -> Result<Caller, Failure> {
    let uscc = organisation.uscc.parse().map_err(Failure::refused)?;
    Ok(Caller { id, role, organisation: Some(uscc), holder: None })
}

/// Makes a vault for development with the whole city in it. Its passphrase lies beside it.
pub(super) fn found(dir: &Path, url: &str, listen: &str) -> Result<(), Failure> {
    let mut config = Config::new(url, listen, Mode::Development, "示范市");
    config.departments = departments();
    config.passphrase_file = Some("passphrase".into());
    let secret: [u8; 16] = random::bytes(&SystemRandom::new())?;
    let secret = hex::encode(secret);
    init::create(dir, &config, &agencies(), &Passphrase::new(secret.clone().into_bytes()))?;
    super::config::write_whole(&dir.join("passphrase"), secret.as_bytes())
}

/// Opens the city's vault.
pub(super) fn open(dir: &Path) -> Result<(Config, Arc<Vault>), Failure> {
    let config = Config::read(dir)?;
    if config.mode != Mode::Development {
        return Err(Failure::refused(format!("the vault in `{}` is not for development", dir.display()))
            .hint("name a new directory"));
    }
    let path = config.passphrase_file.clone().unwrap_or_else(|| dir.join("passphrase"));
    let passphrase = Passphrase::read_file(&path)?;
    let vault = open::vault(&config, &passphrase, ClockStep::Refuse)?;
    Ok((config, vault))
}

/// Issues one sample of a type to these holders, unless it was issued before.
pub(super) fn issue(
    vault: &Vault,
    slug: &str,
    n: u64,
    holders: Vec<OrderHolder>,
    today: Date,
) -> Result<(), Failure> {
    let Some(kind) = vault.catalog().by_slug(slug) else { return Ok(()) };
    let officer = officer(&department_of(kind))?;
    // Without a request key: an earlier start, on another day, ordered another date.
    match vault.issue(&officer, sample::order_for(kind, n, today, holders)) {
        Ok(_) | Err(VaultError::NumberTaken) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Today in China.
pub(super) fn today() -> Date {
    SystemClock.now().date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::domain::uscc::Uscc;

    #[test]
    fn nobody_in_the_city_exists_and_every_code_is_right() {
        for organisation in departments().iter().chain(&agencies()) {
            assert!(organisation.uscc.parse::<Uscc>().is_ok(), "{}", organisation.uscc);
            assert_eq!(&organisation.uscc[2..8], "500199");
        }
        for place in 0..PEOPLE.len() {
            let person = person(place);
            assert!(person.code.parse::<crate::domain::resident_id::ResidentId>().is_ok());
        }
    }

    #[test]
    fn every_type_has_a_department_in_the_city() {
        let catalog = Catalog::embedded().unwrap();
        let known = departments();
        assert!(catalog.types().iter().all(|kind| known.contains(&department_of(kind))));
    }
}
