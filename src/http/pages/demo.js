// The first page in development mode: shows a sample, verifies its code, revokes it.
// Everything fetched is set as text or as a picture, never as markup.

const part = (id) => document.getElementById(id);
let samples = [];
let shown = null;
let timer = null;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.detail} (${answer.code})`);
  return answer;
}

const place = () => Number(part("sample").value);

function line(text, className) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  if (className) paragraph.className = className;
  return paragraph;
}

function pairs(rows) {
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    const term = document.createElement("dt");
    term.textContent = name;
    const words = document.createElement("dd");
    words.textContent = value;
    list.append(term, words);
  }
  return list;
}

async function load() {
  const chosen = part("sample").value;
  const page = await ask("/demo/certificates");
  samples = page.items;
  part("sample").replaceChildren(...samples.map((sample, index) => {
    const option = document.createElement("option");
    option.value = String(index);
    option.textContent = `${sample.type_name.zh} ${sample.type_name.en} · ${sample.holder_names.join("、")}`;
    return option;
  }));
  if (chosen) part("sample").value = chosen;
  look();
}

function look() {
  const sample = samples[place()];
  if (!sample) return;
  part("face").src = `/demo/certificates/${place()}/face.svg?at=${Date.now()}`;
  part("face").alt = `${sample.type_name.zh} ${sample.holder_names.join("、")}`;
  part("state").textContent = `状态 state: ${sample.state_name} ${sample.state}`;
  part("state").className = sample.state === "active" ? "state good" : "state bad";
}

async function show() {
  clearInterval(timer);
  try {
    shown = await ask("/demo/showings", { place: place() });
  } catch (error) {
    shown = null;
    part("qr").removeAttribute("src");
    part("left").textContent = String(error.message);
    part("code").textContent = "";
    part("typed").textContent = "";
    return;
  }
  part("qr").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(shown.qr)}`;
  part("code").textContent = shown.qr_text;
  part("typed").textContent = shown.typed_code ? `手输码 typed code: ${shown.typed_code}` : "";
  tick();
  timer = setInterval(tick, 1000);
}

function tick() {
  const left = Math.ceil((Date.parse(shown.expires_at) - Date.now()) / 1000);
  part("left").textContent = left > 0 ? `${left} 秒 seconds` : "";
  if (left <= 0) show();
}

function tell(verification) {
  const parts = [];
  for (const item of verification.items) {
    const verdict = item.verdict;
    const good = verdict.decision === "accepted";
    const word = good ? "✓ 有效，可以采信 accepted" : "✗ 不予采信 not accepted";
    parts.push(line(word, good ? "good" : "bad"));
    parts.push(line(`${verdict.because.zh} ${verdict.because.en}`));
    parts.push(pairs([
      ["证照", item.type_name ? item.type_name.zh : item.type],
      ["发证机关", item.issuer_name ? item.issuer_name.zh : ""],
      ...item.fields.map((field) => [field.label.zh, String(field.value)]),
      ...item.answers.map((answer) => [answer.label.zh, answer.answer ? "是 yes" : "否 no"]),
    ]));
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "逐项结果 every check";
    details.append(summary, pairs(verdict.checks.map((check) => [check.check, `${check.outcome}: ${check.text.zh} ${check.text.en}`])));
    parts.push(details);
  }
  parts.push(line(`回执 receipt: ${verification.receipt.slice(0, 40)}…`, "small"));
  part("verdict").replaceChildren(...parts);
}

async function verify() {
  if (!shown) await show();
  if (!shown) return;
  part("verify").disabled = true;
  try {
    tell(await ask("/demo/verifications", { code: shown.qr_text, place: place() }));
  } catch (error) {
    part("verdict").replaceChildren(line(String(error.message), "bad"));
  }
  part("verify").disabled = false;
  // The code is used up; the holder's page shows the next one.
  await show();
}

async function revoke() {
  part("revoke").disabled = true;
  try {
    const certificate = await ask("/demo/revocations", { place: place() });
    const change = certificate.changes[certificate.changes.length - 1];
    part("revoked").textContent = `${certificate.issuer_name.zh}，${change.kind_name}，${change.effective_at}。再次核验试试。Now verify again.`;
  } catch (error) {
    part("revoked").textContent = String(error.message);
  }
  part("revoke").disabled = false;
  await load();
  await show();
}

part("sample").addEventListener("change", () => {
  part("verdict").replaceChildren();
  part("revoked").textContent = "";
  look();
  show();
});
part("refresh").addEventListener("click", show);
part("verify").addEventListener("click", verify);
part("revoke").addEventListener("click", revoke);

await load();
await show();
