//! The body of a verification: the fast parser, the strict parser and `serde_json` agree.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use talos_api::verify::{VerifyRequest, parse_request};

/// An unknown field. The fast parser leaves a body with one to the strict parser.
const UNKNOWN: &str = "\"unknown\":0,";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    credential: &'a str,
    audiences: Option<Vec<&'a str>>,
    spaces: [u8; 6],
}

fuzz_target!(|input: Input<'_>| {
    readers_agree(input.raw);

    let credential = Value::from(input.credential);
    let [a, b, c, d, e, f] = input
        .spaces
        .map(|n| ["", " ", "\t", "\r\n"][usize::from(n) % 4]);
    let audiences = input.audiences.as_ref().map_or(String::new(), |audiences| {
        format!(",\"expected_audiences\":{}", Value::from(audiences.clone()))
    });
    let body = format!("{a}{{{b}\"credential\"{c}:{d}{credential}{e}{audiences}}}{f}");
    readers_agree(body.as_bytes());
    if let Ok(request) = parse_request(body.as_bytes()) {
        assert_eq!(request.credential, input.credential);
        assert_eq!(
            request.expected_audiences,
            input.audiences.unwrap_or_default()
        );
    } else {
        let fits = (1..=8192).contains(&input.credential.len());
        assert!(!fits || input.audiences.is_some(), "{body}");
    }
});

fn readers_agree(body: &[u8]) {
    let read = parse_request(body);
    if let Ok(request) = &read {
        let VerifyRequest {
            credential,
            expected_audiences,
        } = request;
        let value: Value = serde_json::from_slice(body).expect("what is accepted is JSON");
        assert_eq!(value["credential"], **credential);
        let audiences = match value.get("expected_audiences") {
            None | Some(Value::Null) => Value::Array(Vec::new()),
            Some(audiences) => audiences.clone(),
        };
        let read = expected_audiences.iter().map(|text| Value::from(&**text));
        assert_eq!(audiences, read.collect::<Value>());
        assert!((1..=8192).contains(&credential.len()));
    }
    // With one more field, the strict parser reads the body. The result must be the same.
    let Some(brace) = body.iter().position(|&byte| byte == b'{') else {
        return;
    };
    let (before, rest) = body.split_at(brace + 1);
    let is_empty_object = rest.trim_ascii_start().starts_with(b"}");
    // The letters of a name can only be escaped with `\\u`.
    let holds = |text: &[u8]| rest.windows(text.len()).any(|window| window == text);
    let holds_unknown = holds(b"unknown") || holds(b"\\u");
    if is_empty_object || holds_unknown || before.len() > 1 && !before.trim_ascii().eq(b"{") {
        return;
    }
    let other = [before, UNKNOWN.as_bytes(), rest].concat();
    match (read, parse_request(&other)) {
        (Ok(one), Ok(other)) => assert!(one == other),
        (Err(one), Err(other)) => assert_eq!(one.reason(), other.reason()),
        (one, _) => panic!("the readers differ: {:?}", one.map(drop)),
    }
}
