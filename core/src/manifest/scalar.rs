//! What a plain (unquoted) scalar means: the core schema of YAML 1.2, with two differences that
//! protect operators. `0640` stays a text, because half of all YAML readers take it for octal and
//! the others for decimal; and so do numbers that do not fit in 64 bits.

use serde_json::{Number, Value};

/// The value of a plain scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let leading_zero = digits.starts_with('0')
        && digits
            .get(1..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if leading_zero {
        return None;
    }
    let plus = text.strip_prefix('+').unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let unsigned = plus.parse::<u64>().ok().map(Number::from);
        return unsigned.or_else(|| plus.parse::<i64>().ok().map(Number::from));
    }
    let is_float = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    is_float
        .then(|| plus.parse::<f64>().ok())
        .flatten()
        .and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("yes", json!("yes")),
            ("off", json!("off")),
            ("None", json!("None")),
            ("0", json!(0)),
            ("-12", json!(-12)),
            ("+3", json!(3)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("0640", json!("0640")),
            ("0.5", json!(0.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1e999", json!("1e999")),
            ("10Gi", json!("10Gi")),
            ("1.2.3", json!("1.2.3")),
            ("127.0.0.1", json!("127.0.0.1")),
            (".", json!(".")),
            ("-", json!("-")),
            (".inf", json!(".inf")),
            ("12:30", json!("12:30")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }
}
