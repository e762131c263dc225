//! Nobody's name, number or secret lies readable in what the service leaves on disk: data
//! directory, write-ahead log, backup, its own log; in none of many encodings.
//!
//! Everything kept goes through the write-ahead log, which is not compressed, and is looked
//! at while it is there. Tables (`*.sst`) are looked at as they lie: those that are compressed
//! are not unpacked, but what is in them was in the log before.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use kabao::cli::sample;
use kabao::vault::issue::OrderHolder;
use ring::digest::{SHA256, digest};
use serde_json::{Value as Json, json};

use crate::service::{Client, Installation, PASSPHRASE, SCENARIO, Server, done, kabao, order, revocation};
use crate::world::AGENCY;

/// Bytes to be looked for, and what they are.
struct Needle {
    what: String,
    bytes: Vec<u8>,
}

/// Finds any of many needles in one go.
struct Scanner {
    needles: Vec<Needle>,
    /// Needles by their first four bytes.
    places: HashMap<[u8; 4], Vec<usize>>,
    /// Whether any needle begins with these two.
    first: Vec<bool>,
}

impl Scanner {
    fn new(canaries: &[String]) -> Self {
        let needles: Vec<Needle> = canaries.iter().flat_map(|canary| encodings(canary)).collect();
        let mut places: HashMap<[u8; 4], Vec<usize>> = HashMap::new();
        let mut first = vec![false; 1 << 16];
        for (place, needle) in needles.iter().enumerate() {
            places.entry(*needle.bytes.first_chunk().unwrap()).or_default().push(place);
            first[usize::from(u16::from_be_bytes(*needle.bytes.first_chunk().unwrap()))] = true;
        }
        Self { needles, places, first }
    }

    /// What is found in some bytes.
    fn scan(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            if !self.first[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                continue;
            }
            let Some(four) = bytes[at..].first_chunk::<4>() else { continue };
            for place in self.places.get(four).into_iter().flatten() {
                let needle = &self.needles[*place];
                if bytes[at..].starts_with(&needle.bytes) {
                    found.insert(needle.what.as_str());
                }
            }
        }
        found
    }

    /// What is found in which file of a folder, in its bytes or in its name.
    fn scan_folder(&self, folder: &Path) -> BTreeSet<(String, &str)> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.scan_folder(&path));
                continue;
            }
            let name = path.display().to_string();
            let mut hits = self.scan(&fs::read(&path).unwrap());
            hits.extend(self.scan(name.as_bytes()));
            found.extend(hits.into_iter().map(|hit| (name.clone(), hit)));
        }
        found
    }
}

#[test]
fn nothing_left_on_disk_or_in_the_log_names_anybody() {
    let installation = Installation::default();
    let holder = OrderHolder {
        code_type: "111".into(),
        code: sample::resident_number(770_077_321),
        name: NAME.into(),
    };
    let mut serve = installation.serve();
    // Our own part says all it can say.
    serve.env("RUST_LOG", "info,kabao=trace");
    let server = Server::begin(&mut serve);
    let administrator = installation.system_administrator();
    let mut secrets = live(&installation, &server, &holder);
    secrets.extend([holder.code, administrator.clone()]);
    secrets.extend(CANARIES.map(str::to_owned));

    let scanner = Scanner::new(&secrets);
    let public = Scanner::new(&["kabao.test/log/0".to_owned()]);
    let finds_public = |part: &str, ending: &str| {
        let found = public.scan_folder(&installation.dir());
        let there = found.iter().any(|(file, _)| file.contains(part) && file.ends_with(ending));
        assert!(there, "{part} is not readable: {found:?}");
    };
    let none = BTreeSet::new();
    finds_public("/store/", ".log");
    assert_eq!(scanner.scan_folder(&installation.dir()), none, "while all of it is in the write-ahead log");
    let administrator = server.client(&administrator);
    administrator.post("/v1/backups", "b", &json!({ "name": "one" })).good(201);
    finds_public("/backups/one/", "");
    assert_eq!(scanner.scan_folder(&installation.dir()), none, "after a backup");
    let log = server.kill();
    assert!(log.len() > 1000, "there is something to look at");
    assert_eq!(scanner.scan(&log), BTreeSet::new(), "its log");
    assert_eq!(scanner.scan_folder(&installation.dir()), none, "after a kill");
    assert_eq!(scanner.scan(&installation.start().stop()), BTreeSet::new());
    assert_eq!(scanner.scan_folder(&installation.dir()), none, "after the log became tables");

    // The same search finds what is planted.
    for (place, hidden) in hidings(NAME).into_iter().enumerate() {
        fs::write(installation.dir().join(format!("store/planted-{place}")), hidden).unwrap();
        let found = scanner.scan_folder(&installation.dir());
        assert!(!found.is_empty(), "hiding {place} is not found");
        assert!(found.iter().all(|(file, _)| file.ends_with(&format!("planted-{place}"))), "{found:?}");
        fs::remove_file(installation.dir().join(format!("store/planted-{place}"))).unwrap();
    }
}

/// A whole life: issued, seen, shown, verified, revoked, asked for wrongly. The secrets of it.
fn live(installation: &Installation, server: &Server, person: &OrderHolder) -> Vec<String> {
    let tokens = [installation.officer(), installation.holder(person), installation.clerk()];
    let [officer, holder, clerk] = tokens.each_ref().map(|token| server.client(token));
    let mut order = order(1, person);
    order["number"] = NUMBER.into();
    for (key, value) in FIELDS {
        order["fields"][key] = value.into();
    }
    let issued = officer.post("/v1/certificates", REQUEST, &order).good(201);
    let identifier = issued.text("identifier");
    let seen = officer.get(&format!("/v1/certificates/{identifier}?reveal=full")).good(200).body;
    for canary in [NAME, NUMBER].into_iter().chain(FIELDS.map(|(_, value)| value)) {
        assert!(seen.contains(canary), "{canary} was never kept: {seen}");
    }
    let own = format!("/v1/wallet/certificates/{identifier}");
    let credential = holder.get(&format!("{own}/credential")).good(200).body;
    holder.bytes(&format!("{own}/face.png"));
    holder.bytes(&format!("{own}/face.svg"));
    let offline = holder.post("/v1/wallet/offline", "", &json!({ "identifier": identifier })).good(201);

    let items = json!([{ "identifier": identifier }]);
    let body = json!({ "items": items, "scenario": SCENARIO, "purpose": PURPOSE, "agency": AGENCY });
    let shown = holder.post("/v1/wallet/showings", "", &body).good(201);
    let unused = holder.post("/v1/wallet/showings", "", &body).good(201);
    let codes = [&shown, &unused].map(|shown| [shown.text("code"), shown.text("typed_code")]);
    let verify = |key: &str, what: &str, text: &str| {
        let body = json!({ what: text, "scenario": SCENARIO, "business_number": CASE });
        clerk.post("/v1/verifications", key, &body)
    };
    verify("v1", "code", &codes[0][0]).good(200);
    verify("v2", "code", &codes[0][0]).problem(422, "show/code-refused");
    verify("v3", "credential", &credential).good(200);
    verify("v4", "offline", &offline.text("text")).good(200);
    holder.pages("/v1/wallet/accesses");
    ask_wrongly(server, [&officer, &holder, &clerk], &order);
    officer.post(&format!("/v1/certificates/{identifier}/revocation"), "r", &revocation()).good(200);

    let mut secrets = vec![PASSPHRASE.to_owned(), offline.text("text")];
    secrets.extend(tokens);
    secrets.extend(codes.into_iter().flatten());
    // The disclosures, which hold the values, and the signed part, each for itself.
    secrets.extend(credential.split('~').filter(|part| part.len() > 16).map(str::to_owned));
    secrets
}

/// Canaries in every place of a request where a caller may put them by mistake.
fn ask_wrongly(server: &Server, [officer, holder, clerk]: [&Client; 3], order: &Json) {
    let bad = |status: u16| assert!((400..500).contains(&status), "{status}");
    for place in ["fields", "holders", "number", "valid_until", "type", NAME] {
        let mut wrong = order.clone();
        wrong[place] = json!(format!("{NAME} {NUMBER}"));
        bad(officer.post("/v1/certificates", &format!("w-{place}").replace(NAME, "n"), &wrong).status);
    }
    let text = format!("{{\"type\": {NAME}, {order}");
    bad(officer.post_text("/v1/certificates", "w", "application/json", text.clone()).unwrap().status);
    bad(officer.post_text("/v1/certificates", "w", "text/plain", text.clone()).unwrap().status);
    bad(officer.post("/v1/certificates", REQUEST, &json!({ "type": NAME })).status);
    officer
        .try_rows("/v1/certificates/batch", "wb", format!("{text}\n{NAME}\n{order}x\n"), |line| {
            assert!(line["identifier"].is_null(), "{line}");
        })
        .unwrap();
    let escaped = percent(NAME.as_bytes());
    for path in ["/v1/certificates/@", "/types/@/1", "/s/@", "/@", "/issuers/@", "/log/0/tile/@"] {
        officer.get(&path.replace('@', &escaped));
        officer.get(&path.replace('@', NUMBER_ASCII));
    }
    bad(holder.get(&format!("/v1/wallet/certificates?cursor={escaped}")).status);
    holder.get(&format!("/v1/wallet/certificates?type={escaped}&state={escaped}"));
    holder.get(&format!("/v1/wallet/certificates?{escaped}={escaped}"));
    for what in ["code", "credential", "offline", "image"] {
        let body =
            json!({ what: format!("{NAME}{NUMBER_ASCII}~"), "scenario": NAME, "business_number": CASE });
        bad(clerk.post("/v1/verifications", "wv", &body).status);
        let body =
            json!({ what: format!("KB1:{NUMBER_ASCII}~"), "scenario": SCENARIO, "business_number": CASE });
        clerk.post("/v1/verifications", &format!("wv-{what}"), &body);
    }
    let nobody = server.client(NUMBER_ASCII);
    bad(nobody.get("/v1/wallet/certificates").status);
    let form = format!("grant_type=client_credentials&client_assertion={NUMBER_ASCII}&x={escaped}");
    bad(nobody.post_text("/oauth/token", "", "application/x-www-form-urlencoded", form).unwrap().status);
}

#[test]
fn the_command_line_takes_no_secret_into_its_messages() {
    let installation = Installation::default();
    let scanner = Scanner::new(&[PASSPHRASE.to_owned(), NUMBER_ASCII.to_owned()]);
    for arguments in [
        vec!["token", "--dir", "@", "--holder", NUMBER_ASCII],
        vec!["verify", "KB1:ENGCANARY7731", "--trust", "@/config.toml"],
        vec!["certificate", "show", "1.2.3", "--url", "http://127.0.0.1:1", "--token", NUMBER_ASCII],
    ] {
        let dir = installation.dir().display().to_string();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace('@', &dir)).collect();
        let output = kabao().args(&arguments).output().unwrap();
        assert!(!output.status.success());
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(scanner.scan(&said), BTreeSet::new(), "{}", String::from_utf8_lossy(&said));
    }
    let output = done(kabao().args(["keys", "list", "--dir"]).arg(installation.dir()));
    assert_eq!(scanner.scan(&[output.stdout, output.stderr].concat()), BTreeSet::new());
}

/// Every way in which a text may lie somewhere.
fn encodings(canary: &str) -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut add = |way: &str, bytes: Vec<u8>| {
        needles.push(Needle { what: format!("{canary} as {way}"), bytes });
    };
    let utf16 = |to: fn(u16) -> [u8; 2]| canary.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let mut forms = vec![("UTF-8", canary.as_bytes().to_vec())];
    forms.push(("UTF-16LE", utf16(u16::to_le_bytes)));
    forms.push(("UTF-16BE", utf16(u16::to_be_bytes)));
    forms.extend(GBK.iter().filter(|(text, _)| *text == canary).map(|(_, bytes)| ("GBK", bytes.to_vec())));
    // A hash without a key is as good as the number itself: there are few numbers.
    forms.push(("SHA-256", digest(&SHA256, canary.as_bytes()).as_ref().to_vec()));
    for (name, bytes) in forms {
        add(name, bytes.clone());
        add(&format!("{name} reversed"), bytes.iter().rev().copied().collect());
        add(&format!("hex of {name}"), hex::encode(&bytes).into_bytes());
        add(&format!("upper hex of {name}"), hex::encode_upper(&bytes).into_bytes());
        add(&format!("URL form of {name}"), percent(&bytes).into_bytes());
        add(&format!("lower URL form of {name}"), percent(&bytes).to_lowercase().into_bytes());
        for offset in 0..3 {
            let padded = [&vec![0; offset][..], &bytes].concat();
            // The letters that hold nothing but bits of it.
            let letters = (offset * 4).div_ceil(3)..padded.len() * 4 / 3;
            add(&format!("base64 of {name} at {offset}"), STANDARD.encode(&padded)[letters.clone()].into());
            add(&format!("base64url of {name} at {offset}"), URL_SAFE.encode(&padded)[letters].into());
        }
    }
    let escaped: String = canary.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    add("JSON escapes", escaped.clone().into_bytes());
    add("upper JSON escapes", escaped.to_uppercase().replace('U', "u").into_bytes());
    add("letters reversed", canary.chars().rev().collect::<String>().into_bytes());
    needles
}

/// Some ways to hide a text, made by other means than [`encodings`].
fn hidings(text: &str) -> Vec<Vec<u8>> {
    let member = json!({ "name": text }).to_string();
    let mut hidings: Vec<Vec<u8>> = (0..3)
        .flat_map(|spaces| {
            let moved = format!("{}{member}", " ".repeat(spaces));
            [STANDARD.encode(&moved).into_bytes(), URL_SAFE.encode(&moved).into_bytes()]
        })
        .collect();
    hidings.push(member.into_bytes());
    hidings.push(hex::encode(format!("x{text}x")).into_bytes());
    hidings.push(b"%E5%8D%9C%E9%87%91%E4%B8%9D%E9%9B%80".to_vec());
    hidings.push(br#"{"name":"\u535c\u91d1\u4e1d\u96c0"}"#.to_vec());
    hidings.push(br#"{"name":"\u535C\u91D1\u4E1D\u96C0"}"#.to_vec());
    hidings.push(b"..\xb2\xb7\xbd\xf0\xcb\xbf\xc8\xb8..".to_vec()); // GBK
    hidings.push(b"..\x53\x5c\x91\xd1\x4e\x1d\x96\xc0..".to_vec()); // UTF-16BE
    hidings.push(b"..\x5c\x53\xd1\x91\x1d\x4e\xc0\x96..".to_vec()); // UTF-16LE
    hidings.push("雀丝金卜".into());
    hidings.push(digest(&SHA256, text.as_bytes()).as_ref().to_vec());
    hidings
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

const NAME: &str = "卜金丝雀";
const NUMBER: &str = "渝CANARY47";
const NUMBER_ASCII: &str = "ENGCANARY7731";
const REQUEST: &str = "key-canary-55210077";
const CASE: &str = "CASE-CANARY-20260001";
const PURPOSE: &str = "让他看金丝雀";

/// Fields of the certificate.
const FIELDS: [(&str, &str); 5] = [
    ("owner_address", "重庆市示范区金丝雀路4711号"),
    ("vin", "CANARYVIN00004711"),
    ("engine_number", NUMBER_ASCII),
    ("file_number", "FCANARY77319"),
    ("licence_remarks", "金丝雀的备注"),
];

/// What may lie nowhere, beside what is made on the way.
const CANARIES: [&str; 10] =
    [NAME, NUMBER, REQUEST, CASE, PURPOSE, FIELDS[0].1, FIELDS[1].1, FIELDS[2].1, FIELDS[3].1, FIELDS[4].1];

/// The Chinese ones in the encoding of older systems.
const GBK: [(&str, &[u8]); 2] = [
    (NAME, b"\xb2\xb7\xbd\xf0\xcb\xbf\xc8\xb8"),
    (PURPOSE, b"\xc8\xc3\xcb\xfb\xbf\xb4\xbd\xf0\xcb\xbf\xc8\xb8"),
];
