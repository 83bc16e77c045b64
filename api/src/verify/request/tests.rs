//! Bodies for the fast parser, bodies for the strict reader, and bad bodies.

use super::*;
use crate::error::Reason;
use crate::limits;
use crate::verify::random::Random;

fn credential(body: &[u8]) -> Option<String> {
    parse_request(body)
        .ok()
        .map(|request| request.credential.into_owned())
}

fn reason(body: &[u8]) -> Option<Reason> {
    parse_request(body).err().map(|error| error.reason())
}

#[test]
fn plain_bodies_are_read_in_place() {
    for body in [
        r#"{"credential":"ory_ak_v1_a_b"}"#,
        " { \"credential\" : \"ory_ak_v1_a_b\" } ",
        "\r\n\t{\n\"credential\"\r:\t\"ory_ak_v1_a_b\"\n}\n",
    ] {
        assert_eq!(
            plain_credential(body.as_bytes()),
            Some("ory_ak_v1_a_b"),
            "{body}"
        );
    }
    assert_eq!(
        plain_credential("{\"credential\":\"é🔑\u{7f}\"}".as_bytes()),
        Some("é🔑\u{7f}")
    );
}

#[test]
fn other_bodies_are_read_too() {
    let table = [
        (r#"{"credential":"a\u0062c"}"#, "abc"),
        (r#"{"credential":"a\"b"}"#, "a\"b"),
        (r#"{"cred\u0065ntial":"abc"}"#, "abc"),
        (r#"{"credential":"abc","other":[{}]}"#, "abc"),
        (r#"{"other":null,"credential":"abc"}"#, "abc"),
        (r#"{"credential":"abc","expected_audiences":[]}"#, "abc"),
        (r#"{"credential":"abc","expected_audiences":null}"#, "abc"),
    ];
    for (body, wanted) in table {
        assert_eq!(plain_credential(body.as_bytes()), None, "{body}");
        assert_eq!(
            credential(body.as_bytes()).as_deref(),
            Some(wanted),
            "{body}"
        );
    }
    let request = parse_request(br#"{"expected_audiences":["a","b\n"],"credential":"c"}"#)
        .expect("a request");
    assert!(matches!(request.credential, Cow::Borrowed("c")));
    assert_eq!(request.expected_audiences, ["a", "b\n"]);
}

#[test]
fn a_credential_is_required() {
    for body in [
        "",
        "  ",
        "{}",
        r#"{"credential":""}"#,
        r#"{"credential":null}"#,
        r#"{"Credential":"x"}"#,
        "{ } ",
    ] {
        assert_eq!(
            reason(body.as_bytes()),
            Some(Reason::CredentialRequired),
            "{body}"
        );
    }
}

#[test]
fn bad_bodies() {
    let bodies: &[&[u8]] = &[
        b"{",
        b"null",
        b"[\"credential\"]",
        b"{\"credential\":5}",
        b"{\"credential\":[\"a\"]}",
        b"{\"credential\":\"a\"",
        b"{\"credential\":\"a}",
        b"{\"credential\":\"a\"}x",
        b"{\"credential\":\"a\"}{}",
        b"{\"credential\":\"a\"}\0",
        b"{\"credential\":\"a\",}",
        b"{\"credential\":\"a\nb\"}",
        b"{\"credential\":\"a\xff\"}",
        b"{\"credential\":\"\\ud800\"}",
        b"{\"credential\":\"a\",\"credential\":\"b\"}",
        b"{\"credential\" \"a\"}",
        b"{\x0c\"credential\":\"a\"}",
        b"\xef\xbb\xbf{\"credential\":\"a\"}",
        br#"{"credential":"a","expected_audiences":"b"}"#,
        br#"{"credential":"a","expected_audiences":[1]}"#,
        br#"{"credential":"a","expected_audiences":[""]}"#,
    ];
    for body in bodies {
        assert_eq!(
            reason(body),
            Some(Reason::BadRequest),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn limits_hold_at_both_edges() {
    let sized = |bytes: usize| format!("{{\"credential\":\"{}\"}}", "x".repeat(bytes)).into_bytes();
    assert!(credential(&sized(limits::CREDENTIAL_BYTES)).is_some());
    assert_eq!(
        reason(&sized(limits::CREDENTIAL_BYTES + 1)),
        Some(Reason::BadRequest)
    );
    // Escapes take more room in the body than in the credential, whose bytes count.
    let escaped =
        |count: usize| format!("{{\"credential\":\"{}\"}}", "\\u00e9".repeat(count)).into_bytes();
    assert!(credential(&escaped(limits::CREDENTIAL_BYTES / 2)).is_some());
    assert_eq!(
        reason(&escaped(limits::CREDENTIAL_BYTES / 2 + 1)),
        Some(Reason::BadRequest)
    );
    let audiences = |count: usize, chars: usize| {
        let list = vec![format!("\"{}\"", "é".repeat(chars)); count].join(",");
        format!("{{\"credential\":\"a\",\"expected_audiences\":[{list}]}}").into_bytes()
    };
    assert!(credential(&audiences(16, 255)).is_some());
    assert_eq!(reason(&audiences(17, 1)), Some(Reason::BadRequest));
    assert_eq!(reason(&audiences(1, 256)), Some(Reason::BadRequest));
}

#[test]
fn both_readers_agree() {
    let seeds: [&[u8]; 6] = [
        br#"{"credential":"ory_ak_v1_4JDbVW_8aBcD"}"#,
        b" {\r\n\t\"credential\" : \"a b\" }\n",
        "{\"credential\":\"é🔑\"}".as_bytes(),
        br#"{"credential":""}"#,
        br#"{"credential":"a\u0041"}"#,
        br#"{"credential":"a","expected_audiences":["b"]}"#,
    ];
    let alphabet = b"{}[]:,\"\\ \t\n\rcredntial\0\x01\x1f\x7f\x80\xc3\xa9\xff0nul";
    let mut random = Random(0x7A10_5EED);
    let mut read_in_place = 0;
    for round in 0..200_000 {
        let mut body = seeds[random.below(seeds.len())].to_vec();
        for _ in 0..random.below(4) {
            let at = random.below(body.len() + 1);
            let byte = alphabet[random.below(alphabet.len())];
            match random.below(4) {
                0 => body.insert(at, byte),
                1 if at < body.len() => body[at] = byte,
                2 if at < body.len() => drop(body.remove(at)),
                3 => body.truncate(at.max(body.len() / 2)),
                _ => body.push(byte),
            }
        }
        if let Some(credential) = plain_credential(&body) {
            read_in_place += 1;
            let shown = String::from_utf8_lossy(&body).into_owned();
            let strict =
                parse_any(&body).unwrap_or_else(|error| panic!("round {round}: {shown}: {error}"));
            assert_eq!(strict.credential, credential, "round {round}: {shown}");
            assert!(
                strict.expected_audiences.is_empty(),
                "round {round}: {shown}"
            );
        }
    }
    assert!(read_in_place > 20_000, "{read_in_place}");
}

#[test]
fn a_misspelt_expectation_is_rejected() {
    for name in [
        "expected_audience",
        "expectedAudience",
        "audiences_expected",
        "expected",
    ] {
        let body = format!(r#"{{"credential":"a","{name}":["b"]}}"#);
        let wanted = (name != "audiences_expected").then_some(Reason::BadRequest);
        assert_eq!(reason(body.as_bytes()), wanted, "{name}");
    }
    let request = parse_request(br#"{"credential":"a","expectedAudiences":["b"]}"#);
    let request = request
        .map_err(|error| error.to_string())
        .map(|request| request.expected_audiences);
    assert_eq!(request, Ok(vec![Cow::Borrowed("b")]));
}
