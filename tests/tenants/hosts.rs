//! The host of a request decides its tenant, and nothing else does.

use super::*;

both_drivers! {
    fn a_host_leads_to_its_tenant_however_it_is_spelt(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let (_, secret) = Client::new(server.address, A).issue("one");
        for host in ["a.example", "A.EXAMPLE", "a.example:4420", "a.example.", "A.example.:1"] {
            assert_eq!(Client::new(server.address, host).verdict(&secret), None, "{host}");
        }
        let (_, secret) = Client::new(server.address, B).issue("one");
        assert_eq!(Client::new(server.address, B2).verdict(&secret), None);
        server.stop();
    }

    fn an_unknown_host_has_no_keys(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let (id, secret) = Client::new(server.address, A).issue("one");
        for host in ["d.example", "example", "localhost", "127.0.0.1", "xa.example", "a.example.x"] {
            let mut client = Client::new(server.address, host);
            for (method, path, body) in [
                ("POST", VERIFY, json!({"credential": secret})),
                ("POST", "/v2alpha1/admin/apiKeys:batchVerify", json!({"requests": [{"credential": secret}]})),
                ("GET", "/v2alpha1/derivedKeys/jwks.json", json!(null)),
                ("POST", "/v2alpha1/apiKeys:selfRevoke", json!({"credential": secret})),
            ] {
                let body = if method == "GET" { String::new() } else { body.to_string() };
                let answer = client.call(method, path, &body);
                answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
                assert_eq!(answer.json()["error"]["message"], "network not found", "{host} {path}");
            }
            for (method, path) in [
                ("GET", ISSUE.to_owned()),
                ("POST", ISSUE.to_owned()),
                ("GET", format!("{ISSUE}/{id}")),
                ("POST", format!("{ISSUE}/{id}:revoke")),
                ("POST", "/v2alpha1/admin/apiKeys:revokeWhere".to_owned()),
            ] {
                let body = if method == "GET" { "" } else { "{}" };
                let answer = client.call(method, &path, body);
                assert!(matches!(answer.status, 403 | 404), "{host} {path} {}", answer.text());
            }
            // Nodes and health checks use the addresses of machines.
            for path in ["/health/alive", "/health/ready", "/version"] {
                assert_eq!(client.get(path).status, 200, "{host} {path}");
            }
        }
        assert_eq!(Client::new(server.address, A).verdict(&secret), None);
        server.stop();
    }

    fn a_body_and_other_headers_name_no_tenant(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let (_, secret) = Client::new(server.address, A).issue("one");
        let mut other = Client::new(server.address, C)
            .with_header("X-Forwarded-Host", A)
            .with_header("X-Forwarded-Server", A)
            .with_header("Forwarded", "host=a.example")
            .with_header("X-Network-Id", ID_A);
        assert_eq!(other.verdict(&secret).as_deref(), Some("NOT_FOUND"));
        let mut body = json!({"credential": secret});
        for name in ["network_id", "nid", "tenant", "tenant_id", "host", "hostname"] {
            body[name] = json!(ID_A);
        }
        let verdict = other.post(VERIFY, &body).json();
        assert_eq!(verdict["is_valid"], false, "{verdict}");
        server.stop();
    }

    fn only_a_trusted_proxy_may_name_the_host(driver: Driver) {
        let site = Site::new(driver);
        let yaml = "";
        let path = configure(&site, yaml, &overlay());
        let start = |proxies: &str, log: &str| {
            let mut command = command(&site, &path);
            command.envs([
                ("TALOS_SERVE_HTTP_TRUST_FORWARDED_HOST", "true"),
                ("TALOS_SERVE_HTTP_TRUSTED_PROXIES", proxies),
            ]);
            Server::start(command, site.directory().join(log))
        };
        let server = start("127.0.0.1", "trusted.log");
        let (_, secret) = Client::new(server.address, A).issue("one");
        let mut proxy = Client::new(server.address, "gateway.internal")
            .with_header("X-Forwarded-Host", "A.example:443");
        assert_eq!(proxy.verdict(&secret), None);
        // A list may begin with what the client wrote.
        let mut list = Client::new(server.address, A).with_header("X-Forwarded-Host", "a.example, c.example");
        let answer = list.post(VERIFY, &json!({"credential": secret}));
        answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
        // So may the first of two headers; and a value that is no text names no host either.
        for values in [["a.example", "a.example"], ["a.example", "c.example"], ["", "a.example"]] {
            let mut twice = Client::new(server.address, A)
                .with_header("X-Forwarded-Host", values[0])
                .with_header("x-forwarded-host", values[1]);
            let answer = twice.post(VERIFY, &json!({"credential": secret}));
            answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
        }
        for value in ["", "\u{e9}.example", "a.example/", "a.example@c.example"] {
            let mut odd = Client::new(server.address, A).with_header("X-Forwarded-Host", value);
            let answer = odd.post(VERIFY, &json!({"credential": secret}));
            answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
        }
        server.stop();
        let server = start("192.0.2.1", "untrusted.log");
        let mut stranger = Client::new(server.address, C).with_header("X-Forwarded-Host", A);
        assert_eq!(stranger.verdict(&secret).as_deref(), Some("NOT_FOUND"));
        server.stop();
    }
    fn a_request_names_one_host(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let (_, secret) = Client::new(server.address, A).issue("one");
        let ask = |target: &str, hosts: &str| {
            let body = json!({"credential": secret}).to_string();
            let length = body.len();
            let head = format!(
                "POST {target}{VERIFY} HTTP/1.1\r\n{hosts}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            let mut connection = server.connect();
            connection.send((head + &body).as_bytes());
            connection.answer()
        };
        // A request target in absolute form replaces the header (RFC 9112, section 3.2.2).
        assert_eq!(ask("http://a.example", "Host: c.example\r\n").json()["is_valid"], true);
        assert_eq!(ask("http://c.example:80", "Host: a.example\r\n").json()["is_valid"], false);
        for hosts in ["Host: a.example\r\nHost: c.example\r\n", "Host: a.example\r\nhost: a.example\r\n", "", "Host: c.example, a.example\r\n", "Host: c.example@a.example\r\n"] {
            assert_eq!(ask("", hosts).status, 400, "{hosts:?}");
        }
        assert_eq!(ask("", "Host: a.example\r\n").json()["is_valid"], true);
        server.stop();
    }
}
