//! `kabao demo`: a demo city with sample certificates, and a page to try it.
//!
//! The first time a directory is used it is made and filled; later it goes on with what
//! is in it. Everybody has the roots of its keys: nothing it signs proves anything.

use std::path::PathBuf;

use clap::Args;

use super::city;
use super::config::FILE;
use super::report::{Failure, data, say};
use super::serve::{self, Ended, LogFormat};
use crate::http::{Demo as Page, Limits, Sample};
use crate::vault::Vault;
use crate::vault::guard::Caller;
use crate::vault::token::Subject;
use crate::vault::wallet::WalletQuery;

/// A demo to be run.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Directory of the demo: new, or an earlier one
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,
    /// Form of the log on stderr; RUST_LOG says how much
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORM")]
    log_format: LogFormat,
}

impl Demo {
    /// Runs it.
    pub(super) fn run(self) -> Result<(), Failure> {
        serve::begin_log(self.log_format);
        let listener = serve::listen(&self.listen)?;
        let address =
            listener.local_addr().map_err(|error| Failure::unknown(format!("cannot listen: {error}")))?;
        if !self.dir.join(FILE).exists() {
            say(format!("making a demo city in {} …", self.dir.display()));
            city::found(&self.dir, &format!("http://{address}"), &self.listen)?;
        }
        let (config, vault) = city::open(&self.dir)?;
        let page = page(&vault)?;
        let app = serve::app(&config, &vault, Limits::default(), Some(page));
        tell(&config.url, &address.to_string());
        match serve::until_end(listener, &config, app, &vault)? {
            Ended::Asked => Ok(()),
            Ended::Stopped => Err(Failure::refused("the vault has stopped").hint("start it again")),
        }
    }
}

fn tell(url: &str, address: &str) {
    data(format!("open      http://{address}/        show a live code and verify it"));
    data(format!("read      http://{address}/docs    every route"));
    data(format!("audit     kabao log audit {url} --development"));
    data("stop      Ctrl-C");
}

/// Fills the vault, and says what the first page shows: from the first person's wallet.
fn page(vault: &Vault) -> Result<Page, Failure> {
    fill(vault)?;
    let traffic = city::agencies().pop().ok_or_else(|| Failure::refused("the city has no agency"))?;
    let holder = holder(vault, &city::person(0).code)?;
    let query = WalletQuery { certificate_type: None, state: None, cursor: None, limit: 100 };
    let held = vault.wallet(&holder, &query)?.items;
    let mut samples = Vec::new();
    for (slug, scenario) in SHOWN {
        let view = held.iter().find(|view| view.type_slug == slug);
        let (Some(view), Some(kind)) = (view, vault.catalog().by_slug(slug)) else { continue };
        if vault.catalog().scenario(scenario).is_none() {
            continue;
        }
        let identifier = view.identifier.clone();
        let officer = city::officer(&city::department_of(kind))?;
        samples.push(Sample { identifier, officer, scenario: scenario.to_owned() });
    }
    Ok(Page { holder, clerk: city::clerk(&traffic)?, samples })
}

/// Issues the samples that are not there yet.
fn fill(vault: &Vault) -> Result<(), Failure> {
    let today = city::today();
    for (n, slug) in (1..).zip(PERSONAL) {
        for (number, place) in [(n * 10, 0), (n * 10 + 1, 1)] {
            city::issue(vault, slug, number, vec![city::person(place)], today)?;
        }
    }
    city::issue(vault, "marriage_certificate", 901, vec![city::person(0), city::person(1)], today)?;
    city::issue(vault, "teacher_qualification", 902, vec![city::person(2)], today)?;
    for (n, slug) in (1..).zip(CORPORATE) {
        for company in 0..2 {
            city::issue(vault, slug, 500 + n * 10 + company, vec![city::company(company)], today)?;
        }
    }
    Ok(())
}

/// A holder as the service knows them.
pub(super) fn holder(vault: &Vault, code: &str) -> Result<Caller, Failure> {
    let code = super::token::holder_code(&format!("111:{code}"))?;
    let token = vault.mint_token(&Subject::Holder(code), 60)?;
    Ok(vault.admit_token(&token.token)?)
}

/// What the first page shows, and in which scenario it is asked for.
const SHOWN: [(&str, &str); 6] = [
    ("driving_licence", "traffic_stop"),
    ("resident_id_card", "hotel_check_in"),
    ("marriage_certificate", "marriage_registration"),
    ("social_security_card", "medical_visit_and_settlement"),
    ("real_estate_ownership_certificate", "school_enrolment"),
    ("residence_permit", "school_enrolment"),
];

/// What two people of the city hold.
const PERSONAL: [&str; 8] = [
    "resident_id_card",
    "driving_licence",
    "vehicle_licence",
    "social_security_card",
    "real_estate_ownership_certificate",
    "residence_permit",
    "vaccination_certificate",
    "graduation_certificate",
];

/// What two companies of the city hold.
const CORPORATE: [&str; 6] = [
    "business_licence",
    "food_business_licence",
    "public_place_hygiene_licence",
    "fire_safety_inspection_opinion",
    "construction_enterprise_qualification",
    "drainage_permit",
];
