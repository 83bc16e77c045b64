//! A name of a request has two spellings, `snake_case` and lowerCamelCase, and both mean the same.
//! Random requests of every route are read in both. They are made from the tables of the readers,
//! so a new field or a new route is tried as soon as it exists.

use serde_json::{Map, Value, json};
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, Secret, TenantId};

use super::operation::{Body, Operation};
use crate::error::ApiError;
use crate::form::Form;
use crate::json::{Field, Kind, Object, camel_case};
use crate::list::Collection;
use crate::page_token::PageTokenKeys;
use crate::query::{Parameter, ParameterKind};
use crate::route::{self, Endpoint, HotRoute, Target};
use crate::{
    admin_token, batch_import, batch_verify, bearer, change, derive, fleet, import, issue, list,
    revoke, revoke_where, rotate, self_revoke, short, update, verify,
};

/// How many requests of each route are made.
const REQUESTS: u64 = 400;

/// What a reader makes of a request: one result, or one per entry of a batch.
type Outcome = Vec<Result<String, ApiError>>;

fn one<T: std::fmt::Debug>(read: Result<T, ApiError>) -> Outcome {
    vec![read.map(|request| format!("{request:?}"))]
}

fn each<T>(
    read: Result<Vec<Result<T, ApiError>>, ApiError>,
    text: impl Fn(T) -> String,
) -> Outcome {
    match read {
        Ok(items) => items.into_iter().map(|item| item.map(&text)).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Reads a request as its route does. An endpoint that is not here does not compile.
fn read(target: Target, body: &Value, query: &str) -> Outcome {
    let text = body.to_string();
    let body = text.as_bytes();
    let (tenant, keyring) = (TenantId::SINGLE, import::tests::keyring());
    let keys = || {
        PageTokenKeys::new(
            &Secret::new("0123456789abcdef0123456789abcdef".to_owned()),
            &[],
        )
    };
    let listed = |kind| {
        let collection = Collection { tenant, kind };
        one(list::parse_request(
            query,
            collection,
            &keys(),
            UnixMillis(0),
        ))
    };
    let nothing = || vec![Ok(String::new())];
    match target {
        Target::Hot(HotRoute::Verify) => one(verify::parse_request(body).map(|request| {
            (
                request.credential.into_owned(),
                format!("{:?}", request.expected_audiences),
            )
        })),
        Target::Hot(HotRoute::BatchVerify) => each(batch_verify::parse_requests(body), |request| {
            format!("{} {:?}", request.credential, request.expected_audiences)
        }),
        Target::Hot(HotRoute::VerifyBearer) => {
            let request = bearer::parse_request(Some(b"Bearer x"), body);
            one(request.map(|request| format!("{:?}", request.expected_audiences)))
        }
        Target::Hot(HotRoute::Alive | HotRoute::Ready) => nothing(),
        Target::Control(endpoint) => match endpoint {
            Endpoint::IssueKey => one(issue::parse_request(body, tenant, None)),
            Endpoint::IssueKeyShort => one(short::parse_request(body, tenant, None)),
            Endpoint::ListIssuedKeys => listed(KeyKind::Issued),
            Endpoint::ListImportedKeys => listed(KeyKind::Imported),
            Endpoint::UpdateIssuedKey | Endpoint::UpdateImportedKey => {
                one(update::parse_request(body, query))
            }
            Endpoint::RotateIssuedKey => one(rotate::parse_request(body)),
            Endpoint::RevokeIssuedKey | Endpoint::RevokeImportedKey | Endpoint::RevokeKey => {
                one(revoke::parse_request(body))
            }
            Endpoint::ImportKey => one(import::parse_request(body, tenant, None, &keyring)),
            Endpoint::ImportKeys => each(
                batch_import::parse_request(body, tenant, None, &keyring),
                |request| format!("{request:?}"),
            ),
            Endpoint::RevokeKeysWhere => one(revoke_where::parse_request(body)),
            Endpoint::DeriveToken => one(derive::parse_request(body)
                .map(|request| (request.credential.into_owned(), request.wanted))),
            Endpoint::DeriveTokenById => one(derive::parse_short_request(body)),
            Endpoint::SelfRevoke => one(self_revoke::parse_request(body)
                .map(|request| (request.credential.into_owned(), request.reason))),
            Endpoint::Diverged => one(fleet::parse_limit(query)),
            Endpoint::FollowChanges => one(change::parse_request(query, None)),
            Endpoint::CreateAdminToken => one(admin_token::parse_create(body)),
            Endpoint::RotateAdminToken => one(admin_token::parse_rotate(body)),
            Endpoint::GetIssuedKey
            | Endpoint::GetImportedKey
            | Endpoint::DeleteImportedKey
            | Endpoint::Replication
            | Endpoint::ReplicationState
            | Endpoint::Promote
            | Endpoint::Rejoin
            | Endpoint::ReloadConfig
            | Endpoint::Jwks
            | Endpoint::Version
            | Endpoint::OpenApi
            | Endpoint::CreateBackup
            | Endpoint::ListAdminTokens
            | Endpoint::GetAdminToken
            | Endpoint::RevokeAdminToken
            | Endpoint::WhoAmI => nothing(),
        },
    }
}

/// Random numbers from a seed (splitmix64), so that a failure is found again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("small")
    }

    /// True in `percent` of 100 cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

/// A text of this form, or now and then one that is not.
fn text(form: Form, random: &mut Random) -> Value {
    let texts: &[&str] = match form {
        Form::Any | Form::Filled | Form::NoControls | Form::Empty => &[
            "",
            "a",
            "two words",
            "ip_restriction",
            "ipRestriction",
            "\u{e9}\u{1f511}",
        ],
        Form::OneOf(names) => return json!(random.pick(names)),
        Form::Lifetime => &["", "0s", "1h", "86400s", "1y6mo", "500ms", "soon"],
        Form::WholeSeconds => &["60s", "1m", "1h30m", "1.5s", ""],
        Form::Block => &["10.0.0.0/8", "2001:db8::/32", "10.0.0.0"],
        Form::Tenant => &["", "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b", "x"],
        Form::Instant => &["2026-11-21T00:00:00Z", "2026-11-21t00:00:00.5z", "never"],
        Form::Position => &["", "0", "1.42", "1"],
        Form::Event => &["IssuedAPIKeyRevoked", "AdminTokenCreated", "Nothing"],
        Form::Filter => &[
            "",
            "actor_id=\"a\"",
            "status=KEY_STATUS_ACTIVE",
            "actorId=\"a\"",
        ],
        Form::Mask => &[
            "",
            "name",
            "scopes,metadata",
            "ip_restriction",
            "rate_limit_policy,name",
            "x",
        ],
    };
    json!(random.pick(texts))
}

fn value(field: &Field, random: &mut Random) -> Value {
    if random.chance(8) {
        let wrong = [
            json!(null),
            json!(true),
            json!(7),
            json!("text"),
            json!([]),
            json!({}),
        ];
        return random.pick(&wrong).clone();
    }
    match field.kind {
        Kind::Text(_) => text(field.form, random),
        Kind::Texts { .. } => {
            let count = random.below(3);
            (0..count).map(|_| text(field.form, random)).collect()
        }
        Kind::Int64 => {
            let numbers = [
                json!(5),
                json!("5"),
                json!("1e2"),
                json!(0),
                json!(-1),
                json!(1.5),
            ];
            random.pick(&numbers).clone()
        }
        Kind::Boolean => json!(random.chance(50)),
        Kind::Object(table) => object(table, random),
        Kind::Objects { of, .. } => {
            let count = random.below(4);
            (0..count).map(|_| object(of, random)).collect()
        }
        Kind::FreeObject => json!({ "snake_case": { "camelCase": 1 }, "camelCase": [] }),
        Kind::TextMap => json!({ "snake_case": "camelCase", "camelCase": "" }),
        Kind::Enumeration(schema) => {
            let mut generator = schemars::SchemaGenerator::default();
            schema(&mut generator);
            let definitions = generator.definitions().values();
            let names = definitions.filter_map(|schema| schema.get("enum")?.as_array().cloned());
            let mut names: Vec<Value> = names.flatten().collect();
            names.extend([json!(0), json!(1), json!(99), json!("NO_SUCH_NAME")]);
            random.pick(&names).clone()
        }
    }
}

/// An object of this table, with names in `snake_case`.
fn object(table: &Object, random: &mut Random) -> Value {
    let mut members = Map::new();
    for field in table.fields {
        if random.chance(if field.is_required { 95 } else { 40 }) {
            members.insert(field.name.to_owned(), value(field, random));
        }
    }
    if random.chance(10) {
        members.insert("quite_other".to_owned(), json!({ "x_y": 1, "xY": 2 }));
    }
    Value::Object(members)
}

/// How a name is spelt again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spelling {
    /// In lowerCamelCase.
    Other,
    /// In one or the other, as it comes.
    Mixed,
}

/// `value` with its names in another spelling. Only the names of the tables change.
fn respelt(value: &Value, table: &Object, spelling: Spelling, random: &mut Random) -> Value {
    let Value::Object(members) = value else {
        return value.clone();
    };
    let respelt = members.iter().map(|(name, value)| {
        let field = table.fields.iter().find(|field| field.name == name);
        let inside = match (field.map(|field| field.kind), value) {
            (Some(Kind::Object(table)), value) => respelt(value, table, spelling, random),
            (Some(Kind::Objects { of, .. }), Value::Array(items)) => {
                let items = items.iter();
                items
                    .map(|item| respelt(item, of, spelling, random))
                    .collect()
            }
            _ => value.clone(),
        };
        let other = camel_case(name).filter(|_| field.is_some());
        let is_other = spelling == Spelling::Other || random.chance(50);
        let name = other.filter(|_| is_other).unwrap_or_else(|| name.clone());
        (name, inside)
    });
    Value::Object(respelt.collect())
}

/// JSON pointers to all members of `value` whose names have two spellings.
fn members_with_two(value: &Value, table: &Object, at: &str, found: &mut Vec<(String, String)>) {
    let Value::Object(members) = value else {
        return;
    };
    for (name, value) in members {
        let Some(field) = table.fields.iter().find(|field| field.name == name) else {
            continue;
        };
        if let Some(other) = camel_case(name) {
            found.push((at.to_owned(), other));
        }
        match (field.kind, value) {
            (Kind::Object(table), value) => {
                members_with_two(value, table, &format!("{at}/{name}"), found);
            }
            (Kind::Objects { of, .. }, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    members_with_two(item, of, &format!("{at}/{name}/{index}"), found);
                }
            }
            _ => {}
        }
    }
}

/// The query with each parameter in one of its spellings.
fn query(values: &[(&Parameter, String)], mut is_other: impl FnMut() -> bool) -> String {
    let pairs = values.iter().map(|(parameter, value)| {
        let other = camel_case(parameter.name).filter(|_| is_other());
        let name = other.unwrap_or_else(|| parameter.name.to_owned());
        // The mask is a list of names, which have two spellings, too.
        let mask = |name: &str| {
            camel_case(name)
                .filter(|_| is_other())
                .unwrap_or_else(|| name.to_owned())
        };
        let value = match parameter.form {
            Form::Mask => value.split(',').map(mask).collect::<Vec<_>>().join(","),
            _ => value.clone(),
        };
        format!("{name}={}", value.replace(' ', "+").replace('"', "%22"))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn values(
    parameters: &'static [Parameter],
    random: &mut Random,
) -> Vec<(&'static Parameter, String)> {
    let given = parameters.iter().filter_map(|parameter| {
        let value = match parameter.kind {
            ParameterKind::Text | ParameterKind::Texts => text(parameter.form, random),
            ParameterKind::Boolean => json!(random.pick(&["", "true", "false", "yes"])),
            ParameterKind::Int32 { .. } => json!(random.pick(&["", "0", "7", "-1", "x"])),
        };
        let value = value.as_str().unwrap_or_default().to_owned();
        random.chance(50).then_some((parameter, value))
    });
    given.collect()
}

/// Routes and their requests.
struct Case {
    about: String,
    target: Target,
    table: &'static Object,
    parameters: &'static [Parameter],
}

static NO_BODY: Object = Object {
    name: "",
    about: "",
    fields: &[],
    rules: &[],
};

fn cases() -> Vec<Case> {
    let routes = route::operations().filter(|(_, method, _)| *method != "HEAD");
    let case = |(template, method, target): (&'static str, &'static str, Target)| {
        let operation = Operation::of(target, method, template);
        let table = match operation.body {
            Some(Body::Object(table) | Body::Resource(table, _)) => table,
            None => &NO_BODY,
        };
        Case {
            about: format!("{method} {template}"),
            target,
            table,
            parameters: operation.query,
        }
    };
    routes.map(case).collect()
}

#[test]
fn both_spellings_of_a_request_have_one_outcome() {
    let (mut accepted, mut refused) = (0, 0);
    for case in cases() {
        for seed in 0..REQUESTS {
            let random = &mut Random(seed);
            let body = object(case.table, random);
            let parameters = values(case.parameters, random);
            let wanted = read(case.target, &body, &query(&parameters, || false));
            for spelling in [Spelling::Other, Spelling::Mixed] {
                let body = respelt(&body, case.table, spelling, random);
                let is_other = || spelling == Spelling::Other || random.chance(50);
                let query = query(&parameters, is_other);
                let found = read(case.target, &body, &query);
                assert_eq!(found, wanted, "{} {seed}: {body} ?{query}", case.about);
            }
            accepted += wanted.iter().filter(|item| item.is_ok()).count();
            refused += wanted.iter().filter(|item| item.is_err()).count();
        }
    }
    // Requests that are all refused for the same reason would show nothing.
    assert!(accepted > 2000 && refused > 2000, "{accepted} {refused}");
}

#[test]
fn both_spellings_of_one_name_are_refused() {
    let mut doubled = 0;
    for case in cases() {
        for seed in 0..REQUESTS {
            let random = &mut Random(seed);
            let mut body = object(case.table, random);
            let parameters = values(case.parameters, random);
            let plain = query(&parameters, || false);
            let mut found = Vec::new();
            members_with_two(&body, case.table, "", &mut found);
            if !found.is_empty() {
                let (parent, other) = random.pick(&found).clone();
                let again = value(&case.table.fields[0], random);
                body.pointer_mut(&parent).expect("an object")[&other] = again;
                refuse(&case, &body, &plain);
                doubled += 1;
            }
            let two = parameters
                .iter()
                .filter_map(|(it, _)| camel_case(it.name))
                .collect::<Vec<_>>();
            if !two.is_empty() {
                let query = format!("{plain}&{}=", random.pick(&two));
                refuse(&case, &json!({}), &query);
                doubled += 1;
            }
        }
    }
    assert!(doubled > 4000, "{doubled}");
}

/// Asserts that the request, or one entry of the batch, is refused with 400.
fn refuse(case: &Case, body: &Value, query: &str) {
    let found = read(case.target, body, query);
    let is_refused =
        |item: &Result<String, ApiError>| item.as_ref().is_err_and(|error| error.status() == 400);
    assert!(
        found.iter().any(is_refused),
        "{}: {body} ?{query}: {found:?}",
        case.about
    );
}
