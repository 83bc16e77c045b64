//! The server's answers match its document, and have no field that the document lacks.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};

use super::{document, resolve};
use crate::harness::feed::Feed;
use crate::harness::site::Site;

/// Asserts that `value` matches `schema` and has no field that the schema does not name.
fn assert_conforms(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolve(document, schema);
    // An enum that describes each of its values.
    if let Some(choices) = schema["oneOf"].as_array() {
        let is_one = choices.iter().any(|choice| choice["const"] == *value);
        assert!(is_one, "{place}: {value}");
        return;
    }
    match schema["type"].as_str() {
        Some("object") => {
            let fields = value
                .as_object()
                .unwrap_or_else(|| panic!("{place}: {value}"));
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    fields.contains_key(name.as_str().unwrap()),
                    "{place}: no {name} in {value}"
                );
            }
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            for (name, value) in fields {
                let property = properties
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is not documented"));
                assert_conforms(document, property, value, &format!("{place}.{name}"));
            }
        }
        Some("array") => {
            for (index, item) in value
                .as_array()
                .unwrap_or_else(|| panic!("{place}: {value}"))
                .iter()
                .enumerate()
            {
                assert_conforms(
                    document,
                    &schema["items"],
                    item,
                    &format!("{place}[{index}]"),
                );
            }
        }
        Some("string") => {
            let text = value.as_str().unwrap_or_else(|| panic!("{place}: {value}"));
            match schema["format"].as_str() {
                Some("date-time") => assert!(
                    text.ends_with('Z') && text.as_bytes()[10] == b'T',
                    "{place}: {text}"
                ),
                Some("int64") => assert!(text.parse::<i64>().is_ok(), "{place}: {text}"),
                _ => {}
            }
            let names = schema["enum"].as_array();
            assert!(
                names.is_none_or(|names| names.contains(value)),
                "{place}: {text}"
            );
        }
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        Some("integer") => assert!(value.is_i64(), "{place}: {value}"),
        other => panic!("{place}: no such type: {other:?}"),
    }
}

/// Sends requests by operation id and checks each answer against the document.
struct Client<'a> {
    document: &'a Value,
    connection: Connection,
    asked: BTreeSet<String>,
}

impl Client<'_> {
    fn operation(&self, id: &str) -> (String, String, &Value) {
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation["operationId"] == id {
                    return (method.to_uppercase(), path.clone(), operation);
                }
            }
        }
        panic!("no operation {id}");
    }

    /// Checks a piece of JSON in an answer of another media type.
    fn check_value(&mut self, id: &str, media: &str, value: &Value) {
        let (_, path, operation) = self.operation(id);
        let schema = &operation["responses"]["200"]["content"][media]["schema"];
        assert_conforms(self.document, schema, value, &format!("{id} {path}"));
        self.asked.insert(id.to_owned());
    }

    fn check(&mut self, id: &str, answer: &Answer) -> Value {
        let (_, path, operation) = self.operation(id);
        let responses = &operation["responses"];
        let documented = responses.get(answer.status.to_string());
        let is_success = (200..300).contains(&answer.status);
        assert!(documented.is_some() || !is_success, "{id}: {answer:?}");
        let documented = documented.unwrap_or(&responses["default"]);
        if answer.status == 204 {
            assert!(documented.get("content").is_none(), "{id}: {documented}");
            assert!(answer.body.is_empty(), "{id}: {answer:?}");
            self.asked.insert(id.to_owned());
            return Value::Null;
        }
        let schema = &documented["content"]["application/json"]["schema"];
        assert_conforms(
            self.document,
            schema,
            &answer.json(),
            &format!("{id} {path}"),
        );
        if is_success {
            self.asked.insert(id.to_owned());
        }
        answer.json()
    }

    fn ask(&mut self, id: &str, key_id: &str, body: &Value) -> Value {
        let (method, path, _) = self.operation(id);
        let path = path
            .replace("{key_id}", key_id)
            .replace("{token_id}", key_id);
        let bytes = if method == "GET" || method == "DELETE" {
            String::new()
        } else {
            body.to_string()
        };
        let headers: &[_] = if method == "PATCH" {
            &[("Content-Type", "application/json")]
        } else {
            &[]
        };
        let answer = self
            .connection
            .call(&method, &path, headers, bytes.as_bytes());
        self.check(id, &answer)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

both_drivers! {
    fn every_operation_answers_as_documented(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let document = document(&mut server.connect());
        let mut client = Client { document: &document, connection: server.connect(), asked: BTreeSet::new() };
        let key = json!({
            "name": "n", "actor_id": "a", "scopes": ["s"], "metadata": {"m": [1]}, "ttl": "1h",
            "rate_limit_policy": {"quota": 9, "window": "1m"}, "ip_restriction": {"allowed_cidrs": ["127.0.0.0/8", "::1/128"]},
        });
        let empty = json!({});
        let issued = client.ask("adminIssueApiKey", "", &key);
        let id = text(&issued["issued_api_key"]["key_id"]).to_owned();
        client.ask("adminIssueApiKey", "", &empty);
        client.ask("adminGetIssuedApiKey", &id, &empty);
        client.ask("adminListIssuedApiKeys", "", &empty);
        client.ask("adminUpdateIssuedApiKey", &id, &json!({"name": "m"}));
        let verify = json!({"credential": issued["secret"]});
        assert_eq!(client.ask("adminVerifyApiKey", "", &verify)["is_valid"], true);
        let derive = json!({
            "credential": issued["secret"], "algorithm": "TOKEN_ALGORITHM_MACAROON", "audiences": ["a"], "custom_claims": {"c": 1},
        });
        let derived = client.ask("adminDeriveToken", "", &derive);
        let token = json!({"credential": derived["token"]["token"], "expected_audiences": ["a"]});
        assert_eq!(client.ask("adminVerifyApiKey", "", &token)["is_valid"], true);
        let rotated = client.ask("adminRotateIssuedApiKey", &id, &empty);
        assert_eq!(client.ask("adminVerifyApiKey", "", &verify)["is_valid"], false);
        client.ask("adminRotateIssuedApiKey", &id, &empty);
        let verify = json!({"credential": rotated["secret"]});
        let unknown = json!({"credential": "nobody"});
        client.ask("adminBatchVerifyApiKeys", "", &json!({"requests": [verify, unknown]}));
        let id = text(&rotated["issued_api_key"]["key_id"]).to_owned();
        let reason = json!({"reason": "REVOCATION_REASON_PRIVILEGE_WITHDRAWN", "description": "d"});
        client.ask("adminRevokeIssuedApiKey", &id, &reason);
        client.ask("adminGetIssuedApiKey", &id, &empty);

        let mut import = key.clone();
        import["raw_key"] = json!("raw one");
        let id = text(&client.ask("adminImportApiKey", "", &import)["key_id"]).to_owned();
        client.ask("adminImportApiKey", "", &import);
        client.ask("adminGetImportedApiKey", &id, &empty);
        client.ask("adminListImportedApiKeys", "", &empty);
        client.ask("adminUpdateImportedApiKey", &id, &json!({"scopes": []}));
        client.ask("adminRevokeImportedApiKey", &id, &empty);
        client.ask("adminDeleteImportedApiKey", &id, &empty);
        let batch = |raw_key: &str| {
            let mut other = import.clone();
            other["raw_key"] = json!(raw_key);
            json!({"requests": [other, {"raw_key": "x"}]})
        };
        let imported = client.ask("adminBatchCreateImportedApiKeys", "", &batch("raw two"));
        client.ask("adminBatchImportImportedApiKeys", "", &batch("raw three"));
        let id = text(&imported["results"][0]["imported_api_key"]["key_id"]).to_owned();
        client.ask("adminRevokeApiKey", &id, &empty);
        client.ask("adminRevokeApiKeysWhere", "", &json!({"scope": "nobody has it", "dry_run": true}));
        client.ask("adminRevokeApiKeysWhere", "", &json!({"scope": "nobody has it"}));
        client.ask("revokeApiKey", "", &json!({"credential": "raw three"}));
        let short = client.ask("postKey", "", &json!({"name": "n", "permissions": ["p"]}));
        let id = text(&short["id"]).to_owned();
        client.ask("postDerive", &id, &json!({"algorithm": "TOKEN_ALGORITHM_MACAROON"}));
        let bearer = format!("Bearer {}", text(&short["key"]));
        for (operation, method) in [("getVerify", "GET"), ("postVerify", "POST")] {
            let headers = [("Authorization", bearer.as_str())];
            let answer = client.connection.call(method, "/verify", &headers, b"");
            assert_eq!(client.check(operation, &answer)["is_valid"], true);
        }
        client.ask("deleteKey", &id, &empty);
        let mut feed = Feed::open(server.address, "after=0", &[]);
        for _ in 0..10 {
            client.check_value("adminFollowChanges", "text/event-stream", &feed.event().data);
        }
        let (backup, _connection) = Feed::ask_at(server.address, "/v2alpha1/admin/backup", &[]);
        assert_eq!(backup.status, 200);
        client.check_value("adminCreateBackup", "application/octet-stream", &json!("TALOSBAK"));
        let token = client.ask("adminCreateToken", "", &json!({"name": "n", "role": "read", "ttl": "1h", "tenant": id}));
        client.ask("adminCreateToken", "", &empty);
        let id = text(&token["token"]["id"]).to_owned();
        client.ask("adminGetToken", &id, &empty);
        client.ask("adminListTokens", "", &empty);
        client.ask("adminRotateToken", &id, &json!({"ttl": "2h"}));
        client.ask("adminRevokeToken", &id, &empty);
        client.ask("adminGetToken", &id, &empty);
        for id in ["adminReloadConfig", "adminWhoAmI", "getJwks", "adminGetJwks", "getVersion", "getOpenApi", "isAlive", "isReady", "adminGetReplication", "adminGetReplicationState"] {
            client.ask(id, "", &empty);
        }
        // A standalone server refuses these; the tests of fleet/ cover servers that do not.
        for id in ["adminPromote", "adminRejoin", "adminGetDiverged"] {
            client.ask(id, "", &empty);
            client.asked.insert(id.to_owned());
        }

        let operations = document["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap().values());
        let all: BTreeSet<_> = operations.map(|operation| text(&operation["operationId"]).to_owned()).collect();
        assert_eq!(client.asked, all, "every operation succeeded once");
        server.stop();
    }
}
