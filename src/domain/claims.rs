//! The field values of one certificate.
//!
//! A [`Claims`] holds canonical values only: who puts one in has checked it
//! against its type. Dates, decimals and choices are texts in canonical form.
//! The values are personal data: nothing here prints them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;
use zeroize::Zeroize;

/// One value, canonical.
#[derive(Clone, Eq, PartialEq)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Several texts.
    List(Vec<String>),
    /// A table: rows of scalar values by column.
    Rows(Vec<BTreeMap<String, Value>>),
    /// A text; also a date, a decimal or a choice.
    Text(String),
}

impl Value {
    /// The JSON of API and credential.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(value) => Json::from(*value),
            Self::List(items) => Json::from(items.clone()),
            Self::Rows(rows) => rows.iter().map(row_to_json).collect::<Vec<_>>().into(),
            Self::Text(text) => Json::String(text.clone()),
        }
    }

    /// What [`Value::to_json`] wrote; `None` for any other shape.
    pub fn from_json(json: &Json) -> Option<Self> {
        match json {
            Json::Bool(value) => Some(Self::Boolean(*value)),
            Json::Number(number) => number.as_i64().map(Self::Integer),
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Array(items) if items.iter().all(Json::is_object) && !items.is_empty() => {
                items.iter().map(row_from_json).collect::<Option<_>>().map(Self::Rows)
            }
            Json::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_string))
                .collect::<Option<_>>()
                .map(Self::List),
            Json::Null | Json::Object(_) => None,
        }
    }

    /// The value as printed on a face.
    pub fn display(&self) -> String {
        match self {
            Self::Boolean(true) => "是".into(),
            Self::Boolean(false) => "否".into(),
            Self::Integer(value) => value.to_string(),
            Self::List(items) => items.join("、"),
            Self::Rows(rows) => {
                let lines =
                    rows.iter().map(|row| row.values().map(Self::display).collect::<Vec<_>>().join(" "));
                lines.collect::<Vec<_>>().join("；")
            }
            Self::Text(text) => text.clone(),
        }
    }
}

fn row_to_json(row: &BTreeMap<String, Value>) -> Json {
    Json::Object(row.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
}

fn row_from_json(json: &Json) -> Option<BTreeMap<String, Value>> {
    let cells = json.as_object()?;
    cells.iter().map(|(key, value)| Value::from_json(value).map(|value| (key.clone(), value))).collect()
}

impl Zeroize for Value {
    fn zeroize(&mut self) {
        match self {
            Self::Boolean(value) => value.zeroize(),
            Self::Integer(value) => value.zeroize(),
            Self::List(items) => items.zeroize(),
            Self::Rows(rows) => rows.iter_mut().flat_map(BTreeMap::values_mut).for_each(Zeroize::zeroize),
            Self::Text(text) => text.zeroize(),
        }
    }
}

/// The kind of value only.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean(_) => "Boolean(..)",
            Self::Integer(_) => "Integer(..)",
            Self::List(_) => "List(..)",
            Self::Rows(_) => "Rows(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

/// The field values of one certificate by key. Cleared when dropped.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Claims(BTreeMap<String, Value>);

impl Claims {
    /// Puts a value in, in place of the one that was there.
    pub fn insert(&mut self, key: &str, value: Value) {
        if let Some(mut before) = self.0.insert(key.to_string(), value) {
            before.zeroize();
        }
    }

    /// The value of a field.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The value of a field that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Every field, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// The keys only.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_their_json_and_do_not_print() {
        let row = BTreeMap::from([("name".to_string(), Value::Text("渝小明".into()))]);
        for value in [
            Value::Boolean(true),
            Value::Integer(-3),
            Value::List(vec!["甲".into()]),
            Value::Rows(vec![row]),
            Value::Text("渝小明".into()),
        ] {
            assert_eq!(Value::from_json(&value.to_json()), Some(value.clone()));
            assert!(!format!("{value:?}").contains('渝'));
        }
        let mut claims = Claims::default();
        claims.insert("holder_name", Value::Text("渝小明".into()));
        assert_eq!(format!("{claims:?}"), r#"{"holder_name"}"#);
    }
}
