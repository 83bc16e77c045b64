//! The meaning of JSON, apart from its spelling.

/// What JSON means: bytes that depend neither on the order of an object's members nor on the
/// spelling of numbers and characters.
pub(super) fn meaning(json: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len());
    match serde_json::from_str(json) {
        Ok(value) => write(&value, &mut bytes),
        // The metadata of a key is JSON. If it were not, its text would be compared.
        Err(_) => bytes.extend(json.as_bytes()),
    }
    bytes
}

fn write(value: &serde_json::Value, bytes: &mut Vec<u8>) {
    use serde_json::Value;
    let text = |text: &str, bytes: &mut Vec<u8>| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    match value {
        Value::Null => bytes.push(b'n'),
        Value::Bool(value) => bytes.push(if *value { b't' } else { b'f' }),
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            bytes.push(b'0');
            match (float.and_then(whole), float) {
                (Some(whole), _) => text(&whole.to_string(), bytes),
                (None, Some(float)) => bytes.extend(float.to_le_bytes()),
                (None, None) => text(&number.to_string(), bytes),
            }
        }
        Value::String(value) => {
            bytes.push(b'"');
            text(value, bytes);
        }
        Value::Array(items) => {
            bytes.push(b'[');
            for item in items {
                write(item, bytes);
            }
            bytes.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            bytes.push(b'{');
            for (name, value) in members {
                text(name, bytes);
                write(value, bytes);
            }
            bytes.push(b'}');
        }
    }
}

/// The integer that is equal to `number`, if it is so small that no other integer is read as the
/// same number.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, hence exact"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other, is_same) in [
            ("1", "1.0", true),
            ("100", "1e2", true),
            ("-0.0", "0", true),
            ("9007199254740992", "9007199254740992.0", true),
            ("1", "2", false),
            ("0.1", "0.2", false),
            ("9223372036854775807", "9223372036854775806", false),
            ("18446744073709551615", "18446744073709551614", false),
        ] {
            let meaning = |number| meaning(&format!("{{\"a\":{{\"b\":[{number}]}}}}"));
            assert_eq!(meaning(one) == meaning(other), is_same, "{one} {other}");
        }
    }
}
