//! `google.protobuf.Struct` and JSON. A Struct has only doubles; a double without a fraction
//! becomes an integer again, as far as a double can hold one exactly.

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Number, Value as Json};

/// The largest integer up to which a double holds every integer: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A Struct as JSON.
pub fn to_value(message: Struct) -> Json {
    let fields = message.fields.into_iter();
    Json::Object(
        fields
            .map(|(name, value)| (name, value_to_json(value)))
            .collect(),
    )
}

fn value_to_json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(b)) => Json::Bool(b),
        Some(Kind::NumberValue(n)) => number(n),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(value_to_json).collect(),
        Some(Kind::StructValue(fields)) => to_value(fields),
    }
}

fn number(n: f64) -> Json {
    if n.fract() == 0.0 && n.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it has no fraction and is within the exact range, which is within i64"
        )]
        let whole = n as i64;
        return Json::Number(whole.into());
    }
    Number::from_f64(n).map_or(Json::Null, Json::Number)
}

/// JSON as a Struct; `None` if it is no object.
pub fn from_value(json: Json) -> Option<Struct> {
    match json {
        Json::Object(fields) => Some(object(fields)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
    }
}

fn object(fields: Map<String, Json>) -> Struct {
    let fields = fields.into_iter();
    Struct {
        fields: fields
            .map(|(name, json)| (name, json_to_value(json)))
            .collect(),
    }
}

fn json_to_value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(b) => Kind::BoolValue(b),
        Json::Number(n) => Kind::NumberValue(n.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.into_iter().map(json_to_value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(object(fields)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_was() {
        let json = json!({
            "replicas": 3, "big": 9_007_199_254_740_992_i64, "negative": -1, "share": 0.5,
            "name": "etcd", "list": [true, null, {"a": {}}], "none": []
        });
        assert_eq!(to_value(from_value(json.clone()).unwrap()), json);
        assert_eq!(from_value(json!([1])), None);
    }

    #[test]
    fn what_json_has_no_number_for_is_null() {
        for n in [f64::NAN, f64::INFINITY] {
            assert_eq!(number(n), Json::Null);
        }
        assert!(number(1e300).is_f64());
    }
}
