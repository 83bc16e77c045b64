//! Nothing of one tenant can be seen, used or ended by another.

use super::*;

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const DERIVE: &str = "/v2alpha1/admin/apiKeys:derive";

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn names(list: &Answer) -> Vec<String> {
    let body = list.json();
    let keys = body["issued_api_keys"].as_array().unwrap();
    keys.iter().map(|key| text(&key["name"])).collect()
}

both_drivers! {
    fn issued_keys(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, mut b, mut c] = [A, B, C].map(|host| Client::new(server.address, host));
        let (id, secret) = a.issue("of a");
        let (_, of_b) = b.issue("of b");
        assert!(of_b.starts_with("bee_v1_"), "the prefix of the tenant");
        assert_eq!(a.verdict(&secret), None);
        assert_eq!(b.verdict(&of_b), None);
        // The third tenant has the secret and the prefix of the first one.
        for client in [&mut b, &mut c] {
            for _ in 0..2 {
                assert_eq!(client.verdict(&secret).as_deref(), Some("NOT_FOUND"));
            }
            let key = format!("{ISSUE}/{id}");
            client.get(&key).assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
            for action in [":revoke", ":rotate"] {
                let answer = client.call("POST", &format!("{key}{action}"), "{}");
                answer.assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
            }
            let answer = client.call("PATCH", &key, r#"{"name": "mine"}"#);
            answer.assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
            assert!(!names(&client.get(ISSUE)).contains(&"of a".to_owned()));
            let answer = client.post("/v2alpha1/apiKeys:selfRevoke", &json!({"credential": secret}));
            assert!(answer.status >= 400, "{}", answer.text());
            let everything = json!({"actor_id": "actor", "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
            assert_eq!(client.post("/v2alpha1/admin/apiKeys:revokeWhere", &everything).status, 200);
        }
        assert_eq!(a.verdict(&secret), None);
        assert_eq!(b.verdict(&of_b).as_deref(), Some("REVOKED"));
        let batch = json!({"requests": [{"credential": secret}, {"credential": of_b}]});
        let results = c.post("/v2alpha1/admin/apiKeys:batchVerify", &batch).json();
        for result in results["results"].as_array().unwrap() {
            assert_eq!(result["error_code"], "VERIFICATION_ERROR_NOT_FOUND", "{results}");
        }
        server.stop();
    }

    fn imported_keys_and_request_ids(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, mut c] = [A, C].map(|host| Client::new(server.address, host));
        let body = json!({"name": "n", "actor_id": "x", "raw_key": "sk_live_0123", "request_id": "r1"});
        let of_a = a.post(IMPORT, &body);
        assert_eq!(of_a.status, 201, "{}", of_a.text());
        assert_eq!(c.verdict("sk_live_0123").as_deref(), Some("NOT_FOUND"));
        let of_c = c.post(IMPORT, &body);
        assert_eq!(of_c.status, 201, "neither the key nor the request is known here");
        let (id_a, id_c) = (text(&of_a.json()["key_id"]), text(&of_c.json()["key_id"]));
        assert_ne!(id_a, id_c);
        assert_eq!((a.verdict("sk_live_0123"), c.verdict("sk_live_0123")), (None, None));
        assert!(c.call("DELETE", &format!("{IMPORT}/{id_a}"), "").status == 404);
        assert!(c.call("DELETE", &format!("{IMPORT}/{id_c}"), "").status < 300);
        assert_eq!(a.verdict("sk_live_0123"), None);
        assert_eq!(c.verdict("sk_live_0123").as_deref(), Some("NOT_FOUND"));
        server.stop();
    }

    fn tokens_and_page_tokens(driver: Driver) {
        let site = Site::new(driver);
        let more = format!("# {}\n", "the signing key is in the environment");
        let path = configure(&site, &more, &overlay());
        let mut command = command(&site, &path);
        command.env("TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS", url(ED25519_JWK));
        let server = Server::start(command, site.directory().join("tokens.log"));
        let [mut a, mut b, mut c] = [A, B, C].map(|host| Client::new(server.address, host));
        let (_, secret) = a.issue("one");
        for algorithm in ["TOKEN_ALGORITHM_JWT", "TOKEN_ALGORITHM_MACAROON"] {
            let asked = json!({"credential": secret, "algorithm": algorithm});
            let derived = a.post(DERIVE, &asked);
            assert_eq!(derived.status, 200, "{}", derived.text());
            let token = text(&derived.json()["token"]["token"]);
            assert_eq!(a.verdict(&token), None);
            // The second tenant signs with the same key under another issuer; the third one has the
            // same issuer, too.
            for client in [&mut b, &mut c] {
                for _ in 0..2 {
                    assert!(client.verdict(&token).is_some(), "{algorithm} {}", client.host);
                }
                let answer = client.post(DERIVE, &asked);
                answer.assert_error(401, "UNAUTHENTICATED", "PARENT_KEY_INVALID");
            }
        }
        a.issue("two");
        let page = a.get(&format!("{ISSUE}?page_size=1")).json();
        let token = text(&page["next_page_token"]);
        let next = format!("{ISSUE}?page_size=1&page_token={token}");
        assert_eq!(a.get(&next).status, 200);
        for client in [&mut b, &mut c] {
            client.get(&next).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        server.stop();
    }

    fn quotas(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, mut b] = [A, B].map(|host| Client::new(server.address, host));
        for name in ["one", "two"] {
            a.issue(name);
            b.issue(name);
        }
        a.issue("three");
        let answer = b.post(ISSUE, &json!({"name": "three", "actor_id": "actor"}));
        assert_eq!(answer.status, 402, "{}", answer.text());
        server.stop();
    }

    fn keys_survive_a_restart_without_their_tenant(driver: Driver) {
        let mut site = Site::new(driver);
        let server = start_with(&site, "");
        let (_, secret) = Client::new(server.address, A).issue("one");
        server.stop();
        // One tenant again: the keys of the others are out of reach, but not lost.
        let server = site.start();
        assert_eq!(Client::new(server.address, "localhost").verdict(&secret).as_deref(), Some("NOT_FOUND"));
        server.stop();
        let server = start_with(&site, "");
        assert_eq!(Client::new(server.address, A).verdict(&secret), None);
        server.stop();
    }
}
