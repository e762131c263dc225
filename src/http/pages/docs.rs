//! The page that reads the OpenAPI document aloud: one section a group, one block a route.

use std::fmt::Write;

use serde_json::Value;

/// The page for a document. Everything in it is escaped.
pub(super) fn page(document: &Value) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail, so the outcome is not looked at.
    let _ = body(&mut page, document);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn body(page: &mut String, document: &Value) -> std::fmt::Result {
    writeln!(page, "<h1>{}</h1>", escaped(&document["info"]["title"]))?;
    writeln!(
        page,
        "<p>{}. <a href=\"/openapi.json\">OpenAPI 3.1</a></p>",
        escaped(&document["info"]["summary"])
    )?;
    page.push_str(INTRODUCTION);
    for (tag, zh, en) in GROUPS {
        writeln!(page, "<section><h2 id=\"{tag}\">{zh} <small>{en}</small></h2>")?;
        for (path, methods) in members(&document["paths"]) {
            for (method, operation) in members(methods) {
                if operation["tags"][0] == **tag {
                    route(page, path, method, operation)?;
                }
            }
        }
        page.push_str("</section>\n");
    }
    page.push_str("<section><h2 id=\"shapes\">数据结构 <small>shapes</small></h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        shape(page, name, schema)?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn route(page: &mut String, path: &str, method: &str, operation: &Value) -> std::fmt::Result {
    let (method, path) = (method.to_ascii_uppercase(), text(path));
    let id = escaped(&operation["operationId"]);
    writeln!(page, "<article id=\"{id}\"><h3><code>{method} {path}</code></h3>")?;
    writeln!(page, "<p>{}</p>", escaped(&operation["summary"]))?;
    if let Some(roles) = operation["x-roles"].as_array() {
        let roles: Vec<String> = roles.iter().map(escaped).collect();
        writeln!(page, "<p>可调用者 <small>who</small>: {}</p>", roles.join(", "))?;
    }
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str(
            "<table><thead><tr><th>参数 parameter</th><th>位置 in</th><th>说明</th></tr></thead><tbody>\n",
        );
        for parameter in parameters {
            let (name, place) = (escaped(&parameter["name"]), escaped(&parameter["in"]));
            let words = escaped(&parameter["description"]);
            writeln!(page, "<tr><td><code>{name}</code></td><td>{place}</td><td>{words}</td></tr>")?;
        }
        page.push_str("</tbody></table>\n");
    }
    bodies(page, "请求 takes", &operation["requestBody"]["content"])?;
    for (status, answer) in members(&operation["responses"]) {
        if status != "default" {
            let title = format!("应答 gives {status}");
            if answer.get("content").is_some() {
                bodies(page, &title, &answer["content"])?;
            } else {
                writeln!(page, "<p>{title}</p>")?;
            }
        }
    }
    page.push_str("</article>\n");
    Ok(())
}

fn bodies(page: &mut String, title: &str, content: &Value) -> std::fmt::Result {
    for (media, body) in members(content) {
        write!(page, "<p>{title}: <code>{}</code>", text(media))?;
        if let Some(name) = body["schema"]["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
            let name = text(name);
            write!(page, " <a href=\"#shape-{name}\">{name}</a>")?;
        }
        page.push_str("</p>\n");
    }
    Ok(())
}

fn shape(page: &mut String, name: &str, schema: &Value) -> std::fmt::Result {
    let name = text(name);
    writeln!(page, "<article id=\"shape-{name}\"><h3><code>{name}</code></h3>")?;
    writeln!(page, "<p>{}</p>", escaped(&schema["description"]))?;
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut rows = members(&schema["properties"]).peekable();
    if rows.peek().is_some() {
        page.push_str(
            "<table><thead><tr><th>成员 member</th><th>类型 type</th><th>说明</th></tr></thead><tbody>\n",
        );
        for (member, inner) in rows {
            let star = if required.contains(&member) { "" } else { " <small>可选 optional</small>" };
            let words = escaped(&inner["description"]);
            let kind = kind(inner);
            writeln!(
                page,
                "<tr><td><code>{}</code>{star}</td><td>{kind}</td><td>{words}</td></tr>",
                text(member)
            )?;
        }
        page.push_str("</tbody></table>\n");
    }
    page.push_str("</article>\n");
    Ok(())
}

/// What a member is, in a word, with a link where it is a shape of its own.
fn kind(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = text(target.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#shape-{name}\">{name}</a>");
    }
    if let Some(inner) = schema.get("items") {
        return format!("[{}]", kind(inner));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(list) = schema[choice].as_array() {
            let kinds: Vec<String> = list.iter().filter(|one| one["type"] != "null").map(kind).collect();
            return kinds.join(" | ");
        }
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let kinds: Vec<String> = kinds.iter().filter(|one| *one != "null").map(escaped).collect();
            kinds.join(" | ")
        }
        kind => escaped(kind),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn escaped(value: &Value) -> String {
    text(value.as_str().unwrap_or_default())
}

fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character => escaped.push(character),
        }
    }
    escaped
}

const HEAD: &str = r#"<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kabao 卡包 · 接口 API</title>
<link rel="stylesheet" href="/assets/kabao.css">
</head>
<body>
<header><a href="/">卡包 kabao</a></header>
<main class="wide">
"#;

const INTRODUCTION: &str = r##"<p>除公开接口外，每次调用在 <code>Authorization: Bearer</code> 中携带令牌；令牌由 <a href="#token_token">/oauth/token</a> 以登记的密钥换取，有效期不超过 15 分钟。写入类请求须带 <code>Idempotency-Key</code>：同一请求以同一键重发，得到同一结果。凡未按所求办理的，一律以 <code>application/problem+json</code> 应答，<code>code</code> 稳定不变。</p>
<p lang="en">Every call but the public ones carries a bearer token, which a registered key is given at <a href="#token_token">/oauth/token</a> for at most 15 minutes. Requests that write carry an <code>Idempotency-Key</code>: sent again with the same key they answer the same. Everything else is a problem (RFC 9457) whose <code>code</code> never changes.</p>
"##;

/// The groups, in the order in which they are read.
const GROUPS: &[(&str, &str, &str)] = &[
    ("issuer", "发证部门", "issuing departments"),
    ("wallet", "卡包", "holders"),
    ("agency", "用证单位", "agencies"),
    ("audit", "审计", "auditors"),
    ("administration", "登记管理", "security administrators"),
    ("tokens", "令牌", "tokens"),
    ("public", "公开", "everybody"),
    ("demonstration", "演示（仅开发模式）", "development mode only"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;
    use crate::http::router::ROUTES;

    #[test]
    fn the_page_has_a_block_for_every_route() {
        let page = page(&openapi::document("https://kabao.example"));
        for route in ROUTES {
            assert!(page.contains(&format!("<article id=\"{}\">", route.name)), "{}", route.name);
        }
    }

    #[test]
    fn what_a_document_says_is_escaped() {
        assert_eq!(text("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
