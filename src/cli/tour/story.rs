//! The story, step by step. A step that is not as it should be ends it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Stage, accepted, decision, expect, out, post, text};
use crate::catalog::Catalog;
use crate::cli::client::Api;
use crate::cli::log;
use crate::cli::report::{Failure, data};
use crate::cli::source::Source;
use crate::cli::trusted::{Anchors, Trusted};
use crate::cli::{city, sample, verify};
use crate::credential::qr::{self, Level, Qr};
use crate::domain::verdict::{Decision, Reason};
use crate::vault::clock::{Clock, SystemClock};

/// Tells it.
pub(super) async fn tell(stage: &Stage) -> Result<(), Failure> {
    let out = out::Out::new(&stage.dir)?;
    let citizen = city::person(0);
    let holder = stage.holder(&citizen.code)?;
    let traffic = city::agencies().pop().ok_or_else(|| Failure::refused("the city has no agency"))?;
    let clerk = stage.clerk(&traffic.uscc)?;

    let licence = issue(stage).await?;
    carry(&holder).await?;
    let code = show(&holder, &licence, &out).await?;
    let receipt = redeem(&clerk, &code, &traffic.zh).await?;
    replay(stage, &clerk, &code).await?;
    looked(&holder, &traffic.zh).await?;
    let anchors = Anchors::for_development();
    let credential = holder.text(&format!("/v1/wallet/certificates/{licence}/credential")).await?;
    let offline = offline(stage, &holder, &licence, &anchors).await?;
    revoke(stage, &licence).await?;
    refused(&holder, &clerk, &licence).await?;
    let trusted = published(stage, &credential, &anchors).await?;
    prove(stage, &credential, &out).await?;
    out.write(stage, &trusted, &credential, &offline, &receipt).await
}

fn step(number: u32, zh: &str, en: &str) {
    data(format!("\n{number}. {zh}  {en}"));
}

async fn issue(stage: &Stage) -> Result<String, Failure> {
    step(1, "颁发", "Departments issue certificates to 张小明");
    let catalog = Catalog::embedded()?;
    let today = city::today();
    let mut licence = None;
    for (n, slug) in
        (1..).zip(["driving_licence", "resident_id_card", "social_security_card", "vehicle_licence"])
    {
        let kind =
            catalog.by_slug(slug).ok_or_else(|| Failure::refused(format!("there is no type `{slug}`")))?;
        let department = city::department_of(kind);
        let officer = stage.officer(&department.uscc)?;
        let order = sample::order_for(kind, n, today, vec![city::person(0)]);
        let answer = post(&officer, "/v1/certificates", &sample::to_json(&order)).await?;
        let identifier = text(&answer, "/identifier")?.to_owned();
        data(format!("   {} issues a {} ({})", department.en, kind.name().en, kind.name().zh));
        data(format!("     电子证照标识 {identifier}"));
        licence.get_or_insert(identifier);
    }
    licence.ok_or_else(|| Failure::refused("nothing was issued"))
}

async fn carry(holder: &Api) -> Result<(), Failure> {
    step(2, "卡包", "The holder looks into the wallet");
    let page = holder.json(Method::GET, "/v1/wallet/certificates", None, None).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    expect("the wallet holds four certificates", (items.len() == 4).into())?;
    for item in &items {
        let field = |path| text(item, path).unwrap_or_default().to_owned();
        data(format!(
            "   {}  {}  {}  {}",
            field("/type_name/zh"),
            field("/number"),
            field("/state_name"),
            field("/issuer_name/zh")
        ));
    }
    let whole = page.to_string();
    let citizen = city::person(0);
    expect("no resident number stands unmasked in the list", (!whole.contains(&citizen.code)).into())?;
    data("   names and numbers are masked until the holder asks for them");
    Ok(())
}

async fn show(holder: &Api, licence: &str, out: &out::Out) -> Result<String, Failure> {
    step(
        3,
        "亮证",
        "At a traffic stop the holder shows the driving licence: a code, good once, for a minute",
    );
    let body =
        json!({ "items": [{ "identifier": licence }], "scenario": SCENARIO, "purpose": "traffic stop" });
    let shown = holder.json(Method::POST, "/v1/wallet/showings", Some(&body), None).await?;
    let qr_text = text(&shown, "/qr_text")?;
    let refuse = |error: qr::QrError| Failure::refused(error).maybe_hint(error.hint());
    let picture = Qr::new(qr_text, Level::M, qr::ONLINE_VERSION_MAX).map_err(refuse)?;
    data(picture.terminal());
    data(format!("   {qr_text}"));
    out.bytes("code.png", &picture.png(8).map_err(refuse)?)?;
    let fields: Vec<&str> =
        shown["items"][0]["fields"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    data(format!("   what the scenario needs and nothing more: {}", fields.join(", ")));
    Ok(qr_text.to_owned())
}

async fn redeem(clerk: &Api, code: &str, agency: &str) -> Result<String, Failure> {
    step(4, "核验", "The officer at the roadside scans it");
    let body = verification(code);
    let request = "tour-redeem-1";
    let path = "/v1/verifications";
    let answer = clerk.json(Method::POST, path, Some(&body), Some(request)).await?;
    expect("the certificate is accepted", (decision(&answer) == Some(accepted())).into())?;
    verdict(&answer);
    for field in answer["items"][0]["fields"].as_array().into_iter().flatten() {
        let value = field["value"].as_str().map_or_else(|| field["value"].to_string(), str::to_owned);
        data(format!("   {} {value}", text(field, "/label/zh")?));
    }
    let again = clerk.json(Method::POST, path, Some(&body), Some(request)).await?;
    expect("the same request gets the same answer", (again == answer).into())?;
    data(format!("   {agency} keeps a signed receipt (回执); the same request again gets the same answer"));
    Ok(text(&answer, "/receipt")?.to_owned())
}

async fn replay(stage: &Stage, clerk: &Api, code: &str) -> Result<(), Failure> {
    step(5, "防重放", "Somebody sends a photo of the same code: refused, whoever asks");
    let bank = city::agencies().swap_remove(0);
    for (who, api) in [("the same agency", clerk), ("another agency", &stage.clerk(&bank.uscc)?)] {
        let refusal = post(api, "/v1/verifications", &verification(code)).await;
        let said = refusal.err().map(|failure| failure.to_string()).unwrap_or_default();
        expect("a used code is refused", said.contains("show/code-refused").into())?;
        data(format!("   {who}: {said}"));
    }
    Ok(())
}

async fn looked(holder: &Api, agency: &str) -> Result<(), Failure> {
    step(6, "用证记录", "The holder sees who looked");
    let page = holder.json(Method::GET, "/v1/wallet/accesses", None, None).await?;
    let access = &page["items"][0];
    expect("the agency is named", (text(access, "/agency_name")? == agency).into())?;
    let fields: Vec<&str> =
        access["fields"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    data(format!("   {}  {agency}  {}  {}", text(access, "/at")?, text(access, "/case")?, fields.join(", ")));
    Ok(())
}

async fn offline(stage: &Stage, holder: &Api, licence: &str, anchors: &Anchors) -> Result<String, Failure> {
    step(
        7,
        "离线亮证",
        "Where there is no network: a signed code for five minutes, checked without asking anybody",
    );
    let shown = holder
        .json(Method::POST, "/v1/wallet/offline", Some(&json!({ "identifier": licence })), None)
        .await?;
    let code = text(&shown, "/text")?.to_owned();
    let at = SystemClock.now();
    let source = Source::open(&stage.config.url)?;
    let bundle = anchors.verify(&source.text("trust").await?, at)?;
    let finding = verify::judge(&code, &Trusted::new(bundle, 24 * 3600, at), anchors, at)?;
    expect("the offline code is accepted", (finding.verdict.decision() == Decision::Accepted).into())?;
    data(format!("   {} characters; {}", code.len(), finding.verdict.deciding().en()));
    for (key, value) in &finding.claims {
        data(format!("   {key} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    Ok(code)
}

async fn revoke(stage: &Stage, licence: &str) -> Result<(), Failure> {
    step(8, "吊销", "The department revokes the licence");
    let catalog = Catalog::embedded()?;
    let kind = catalog.by_slug("driving_licence").ok_or_else(|| Failure::refused("no driving licence"))?;
    let department = city::department_of(kind);
    let officer = stage.officer(&department.uscc)?;
    let body = json!({ "reason": "sanction", "legal_basis": "道路交通安全法 第九十一条" });
    let path = format!("/v1/certificates/{licence}/revocation");
    let view = post(&officer, &path, &body).await?;
    expect("the certificate is revoked", (text(&view, "/state")? == "revoked").into())?;
    let again = post(&officer, &path, &body).await?;
    expect("revoking it again changes nothing", (again["changes"] == view["changes"]).into())?;
    data(format!("   {}: {}, 道路交通安全法 第九十一条", department.zh, text(&view, "/state_name")?));
    Ok(())
}

async fn refused(holder: &Api, clerk: &Api, licence: &str) -> Result<(), Failure> {
    step(9, "再次核验", "The next verification says so, and why");
    let body =
        json!({ "items": [{ "identifier": licence }], "scenario": SCENARIO, "purpose": "traffic stop" });
    let shown = holder.json(Method::POST, "/v1/wallet/showings", Some(&body), None).await?;
    let answer = post(clerk, "/v1/verifications", &verification(text(&shown, "/qr_text")?)).await?;
    expect("the certificate is refused", (decision(&answer) == Some(Decision::Refused.name())).into())?;
    let revoked = answer.to_string().contains(Reason::StatusRevoked.code());
    expect("the reason is that it was revoked", revoked.into())?;
    verdict(&answer);
    Ok(())
}

/// Waits until the published list says what the vault says, and judges the credential by it.
async fn published(stage: &Stage, credential: &str, anchors: &Anchors) -> Result<Trusted, Failure> {
    step(
        10,
        "状态列表",
        "Within a minute the published status list says it too, to verifiers that never call",
    );
    let source = Source::open(&stage.config.url)?;
    for _ in 0..WAITS {
        let at = SystemClock.now();
        let bundle = anchors.verify(&source.text("trust").await?, at)?;
        let mut trusted = Trusted::new(bundle, 24 * 3600, at);
        for path in source.lists().await? {
            trusted.take_list(source.text(&path).await?.trim())?;
        }
        let finding = verify::judge(credential.trim(), &trusted, anchors, at)?;
        if finding.verdict.decision() == Decision::Refused {
            data(format!("   {}", finding.verdict.deciding().en()));
            return Ok(trusted);
        }
        tokio::time::sleep(WAIT).await;
    }
    Err(Failure::refused("the published status list did not follow within a minute"))
}

async fn prove(stage: &Stage, credential: &str, out: &out::Out) -> Result<(), Failure> {
    step(
        11,
        "公开日志",
        "The auditor recomputes the whole public log, and that it gives the published lists",
    );
    log::audit(&stage.config.url, Anchors::for_development(), out.path("audit.state")).await?;
    let auditor = stage.auditor()?;
    let now = SystemClock.now();
    let path = format!("/v1/audit/revocations?from={}&until={}", now.minus(3600), now.plus(60));
    let page = auditor.json(Method::GET, &path, None, None).await?;
    let revocation = &page["items"][0];
    expect("the revocation is listed", (text(revocation, "/kind")? == "revoke").into())?;
    data(format!(
        "   entry {}: {} {} by {}",
        revocation["entry"],
        text(revocation, "/kind_name")?,
        text(revocation, "/type")?,
        text(revocation, "/issuer_name")?
    ));
    let index = log::issue_of(&stage.config.url, Anchors::for_development(), credential).await?;
    data(format!("   entry {index}: the issue of this very credential"));
    Ok(())
}

fn verification(code: &str) -> Json {
    json!({ "code": code, "scenario": SCENARIO, "business_number": "CQ-2026-0001" })
}

/// The verdict, check by check.
fn verdict(answer: &Json) {
    let Some(verdict) = answer.pointer("/items/0/verdict") else { return };
    let words = |json: &Json, path: &str| text(json, path).unwrap_or_default().to_owned();
    data(format!(
        "   {}: {} {}",
        words(verdict, "/decision"),
        words(verdict, "/because/zh"),
        words(verdict, "/because/en")
    ));
    for check in verdict["checks"].as_array().into_iter().flatten() {
        let (name, outcome) = (words(check, "/check"), words(check, "/outcome"));
        data(format!(
            "     {name:<13} {outcome:<14} {}  {}",
            words(check, "/text/zh"),
            words(check, "/text/en")
        ));
    }
}

/// What it is shown for.
const SCENARIO: &str = "traffic_stop";

/// A minute and a little, in steps.
const WAITS: u32 = 65;
const WAIT: Duration = Duration::from_secs(1);
