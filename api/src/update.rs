//! Changing a key: `PATCH …/{key_id}?update_mask=…` (AIP-134).

use talos_model::FieldChanges;

use crate::error::ApiError;
use crate::form::Form;
use crate::json::{self, Field, Fields, Kind, Object, Rule};
use crate::key_tables::{IP_RESTRICTION, METADATA, NAME, RATE_LIMIT_POLICY, SCOPES};
use crate::query::{self, Parameter};
use crate::{key_fields, limits};

/// A field that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changeable {
    Name,
    Scopes,
    Metadata,
    RateLimitPolicy,
    IpRestriction,
}

/// Every field that can change.
pub(crate) const CHANGEABLE: [(Field, Changeable); 5] = [
    (NAME, Changeable::Name),
    (SCOPES, Changeable::Scopes),
    (METADATA, Changeable::Metadata),
    (RATE_LIMIT_POLICY, Changeable::RateLimitPolicy),
    (IP_RESTRICTION, Changeable::IpRestriction),
];

const ISSUED_API_KEY: Field = wrapper("issued_api_key");
const IMPORTED_API_KEY: Field = wrapper("imported_api_key");

/// The fields in which a body may hold the resource. A body may also be the resource itself.
const WRAPPERS: [Field; 2] = [ISSUED_API_KEY, IMPORTED_API_KEY];

const fn wrapper(name: &'static str) -> Field {
    Field::new(
        name,
        Kind::Object(&CHANGES),
        "The new values, instead of here.",
    )
    // A mask clears what the body leaves out, so a body that is not read clears restrictions.
    .restricting(&[])
}

static FIELDS: [Field; 5] = [NAME, SCOPES, METADATA, RATE_LIMIT_POLICY, IP_RESTRICTION];

/// The resource within one of the [`WRAPPERS`].
static CHANGES: Object = Object {
    name: "ApiKeyChanges",
    about: "The new values of a key's fields.",
    fields: &FIELDS,
    rules: &[],
};

/// The body of a request: the resource, bare or within one of the [`WRAPPERS`].
pub(crate) static REQUEST: Object = Object {
    name: "UpdateApiKeyBody",
    about: "The new values of a key's fields, here or within a field that bears the name of the resource. Other fields of \
            a key are skipped.",
    fields: &[
        NAME,
        SCOPES,
        METADATA,
        RATE_LIMIT_POLICY,
        IP_RESTRICTION,
        ISSUED_API_KEY,
        IMPORTED_API_KEY,
    ],
    rules: &[Rule::OneGroup(&[
        &[ISSUED_API_KEY],
        &[IMPORTED_API_KEY],
        &FIELDS,
    ])],
};

/// The list of the fields that change.
pub(crate) const UPDATE_MASK: Parameter = Parameter::text(
    "update_mask",
    "The fields that change, separated by commas; one that the body leaves out is cleared. Without a mask those change \
     that the body gives a value.",
)
.form(Form::Mask);

/// Reads which fields change, and their new values. `query` is what followed the `?`.
///
/// With a mask, the fields in the mask change; one that is absent from the body is cleared. Without
/// a mask, the fields that have a value in the body change.
///
/// # Errors
/// 400, naming the field or the position in the mask, when the request breaks the contract.
pub fn parse_request(body: &[u8], query: &str) -> Result<FieldChanges, ApiError> {
    let mask = mask(query)?;
    let mut fields = json::parse(body, &REQUEST)?;
    for wrapper in WRAPPERS {
        refuse_beside(&fields, wrapper)?;
        if let Some(resource) = fields.object(wrapper)? {
            fields = resource;
            break;
        }
    }
    let listed = mask.unwrap_or_else(|| given(|field| fields.has_value(field)));
    parse_changes(&mut fields, &listed)
}

/// Refuses new values beside `wrapper`, if it is there. They would be lost, and with them what they
/// restrict.
fn refuse_beside(fields: &Fields<'_>, wrapper: Field) -> Result<(), ApiError> {
    let mut others = WRAPPERS.iter().chain(&FIELDS);
    let is_beside = |other: &&Field| other.name != wrapper.name && fields.is_present(**other);
    match others.find(is_beside) {
        Some(beside) if fields.is_present(wrapper) => {
            let message = format!("is beside {}; use one of them", wrapper.name);
            Err(fields.invalid(*beside, &message))
        }
        _ => Ok(()),
    }
}

/// The fields that can change and for which `is_given` is true.
pub(crate) fn given(is_given: impl Fn(Field) -> bool) -> Vec<Changeable> {
    let given = CHANGEABLE.iter().filter(|(field, _)| is_given(*field));
    given.map(|(_, changeable)| *changeable).collect()
}

/// The new values of the `listed` fields. A field that is absent becomes empty.
pub(crate) fn parse_changes(
    fields: &mut Fields<'_>,
    listed: &[Changeable],
) -> Result<FieldChanges, ApiError> {
    let mut changes = FieldChanges::default();
    for changeable in listed {
        match changeable {
            Changeable::Name => {
                let name = key_fields::required(fields, NAME, limits::NAME_CHARS)?;
                changes.name = Some(name);
            }
            Changeable::Scopes => changes.scopes = Some(key_fields::scopes(fields, SCOPES)?),
            Changeable::Metadata => changes.metadata = Some(key_fields::metadata(fields)?),
            Changeable::RateLimitPolicy => {
                changes.rate_limit = Some(key_fields::rate_limit(fields)?);
            }
            Changeable::IpRestriction => {
                changes.allowed_cidrs = Some(key_fields::allowed_cidrs(fields)?);
            }
        }
    }
    Ok(changes)
}

/// The fields in the mask, each once; `None` without a mask.
fn mask(query: &str) -> Result<Option<Vec<Changeable>>, ApiError> {
    let Some(text) = query::parameter(query, &UPDATE_MASK)? else {
        return Ok(None);
    };
    let mut listed = Vec::new();
    for (index, path) in text.split(',').enumerate() {
        let path = path.trim();
        let is_named =
            |field: Field| field.name == path || json::is_camel_case_of(path, field.name);
        let known = CHANGEABLE.iter().find(|(field, _)| is_named(*field));
        let &(_, changeable) = known.ok_or_else(|| {
            let allowed = CHANGEABLE.map(|(field, _)| field.name).join(", ");
            let message = format!("path {} must be one of {allowed}", index + 1);
            ApiError::invalid_field(UPDATE_MASK.name, &message)
        })?;
        if !listed.contains(&changeable) {
            listed.push(changeable);
        }
    }
    Ok(Some(listed))
}

#[cfg(test)]
mod tests {
    use talos_model::RateLimitPolicy;

    use super::*;

    const ALL: &str = "update_mask=name,scopes,metadata,rate_limit_policy,ip_restriction";
    const EVERY_FIELD: &str = r#"{"name":"n","scopes":["s"],"metadata":{"a":1},
        "rate_limit_policy":{"quota":"5","window":"60s"},"ip_restriction":{"allowed_cidrs":["10.0.0.0/8"]},
        "actor_id":"x","status":7}"#;

    fn parse(body: &str, query: &str) -> Result<FieldChanges, ApiError> {
        parse_request(body.as_bytes(), query)
    }

    /// Which fields change.
    fn changed(changes: &FieldChanges) -> Vec<&'static str> {
        let set = [
            changes.name.is_some(),
            changes.scopes.is_some(),
            changes.metadata.is_some(),
            changes.rate_limit.is_some(),
            changes.allowed_cidrs.is_some(),
        ];
        let names = CHANGEABLE.iter().zip(set);
        names
            .filter(|(_, set)| *set)
            .map(|((field, _), _)| field.name)
            .collect()
    }

    #[test]
    fn without_a_mask_what_has_a_value_changes() {
        let table: [(&str, &[&str]); 9] = [
            ("{}", &[]),
            ("", &[]),
            (r#"{"name":"n"}"#, &["name"]),
            (r#"{"name":"","scopes":[],"metadata":null}"#, &[]),
            (
                r#"{"metadata":{},"ip_restriction":{}}"#,
                &["metadata", "ip_restriction"],
            ),
            (
                r#"{"issued_api_key":{"scopes":["s"],"key_id":"x"}}"#,
                &["scopes"],
            ),
            (
                r#"{"imported_api_key":{"name":"n"},"scopes":null,"actor_id":"a"}"#,
                &["name"],
            ),
            (r#"{"issued_api_key":null,"name":"n"}"#, &["name"]),
            (r#"{"update_mask":"name","scopes":["s"]}"#, &["scopes"]),
        ];
        for (body, wanted) in table {
            for query in ["", "update_mask=", "other=name"] {
                let changes = parse(body, query).expect("changes");
                assert_eq!(changed(&changes), wanted, "{body}");
            }
        }
        let changes = parse(EVERY_FIELD, "").expect("changes");
        assert_eq!(changes.name.as_deref(), Some("n"));
        assert_eq!(changes.scopes, Some(vec!["s".to_owned()]));
        assert_eq!(changes.metadata.as_deref(), Some(r#"{"a":1}"#));
        let policy = RateLimitPolicy {
            quota: 5,
            window_s: 60,
        };
        assert_eq!(changes.rate_limit, Some(Some(policy)));
        assert_eq!(changes.allowed_cidrs.map(|blocks| blocks.len()), Some(1));
    }

    #[test]
    fn new_values_in_two_places_are_refused() {
        for (body, message) in [
            (
                r#"{"imported_api_key":{"name":"n"},"scopes":["s"]}"#,
                "scopes: is beside imported_api_key",
            ),
            (
                r#"{"issuedApiKey":{},"ipRestriction":{"allowedCidrs":["10.0.0.0/8"]}}"#,
                "ip_restriction: is beside issued_api_key",
            ),
            (
                r#"{"issued_api_key":{},"imported_api_key":{}}"#,
                "imported_api_key: is beside issued_api_key",
            ),
        ] {
            let error = parse(body, "").expect_err(body);
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_mask_decides_what_changes() {
        let table: [(&str, &[&str]); 6] = [
            ("update_mask=name", &["name"]),
            ("update_mask=scopes%2Cname", &["name", "scopes"]),
            ("update_mask=name,+scopes+,name", &["name", "scopes"]),
            ("updateMask=ipRestriction", &["ip_restriction"]),
            ("x=1&update_mask=metadata", &["metadata"]),
            (ALL, &CHANGEABLE.map(|(field, _)| field.name)),
        ];
        for (query, wanted) in table {
            let changes = parse(EVERY_FIELD, query).expect("changes");
            assert_eq!(changed(&changes), wanted, "{query}");
        }
        // A field that is not listed is not read, so its type does not matter.
        assert!(parse(r#"{"name":"n","scopes":7}"#, "update_mask=name").is_ok());
    }

    #[test]
    fn a_misspelt_restriction_does_not_clear_the_restriction() {
        for body in [
            r#"{"ip_restriction":{"allowed_cidr":["10.0.0.0/8"]}}"#,
            r#"{"ip_restriction":{"cidrs":["10.0.0.0/8"]}}"#,
            r#"{"ip_restrictions":{"allowed_cidrs":["10.0.0.0/8"]}}"#,
            r#"{"allowed_cidrs":["10.0.0.0/8"]}"#,
            r#"{"issued_api_keys":{"ip_restriction":{"allowed_cidrs":["10.0.0.0/8"]}}}"#,
            r#"{"issued_api_key":{"ip_restrict":{"allowed_cidrs":["10.0.0.0/8"]}}}"#,
            r#"{"importedApiKey":{"ipRestriction":{"allowedCidr":["10.0.0.0/8"]}}}"#,
        ] {
            for query in [ALL, "update_mask=ip_restriction", ""] {
                let error = parse(body, query).expect_err(body);
                assert_eq!(error.status(), 400);
                if !query.contains("name") {
                    assert!(error.to_string().contains("did you mean "), "{error}");
                }
            }
        }
        // A resource as the server shows it is no misspelling, in either spelling.
        let shown = r#"{"issuedApiKey":{"keyId":"k","actorId":"a","status":"KEY_STATUS_ACTIVE",
            "visibility":"KEY_VISIBILITY_SECRET","createTime":"t","expire_time":"t","lastUsedTime":"t",
            "ipRestriction":{"allowedCidrs":["10.0.0.0/8"]},"revocation_reason":1}}"#;
        let changes = parse(shown, "").expect("changes");
        assert_eq!(changed(&changes), ["ip_restriction"]);
        assert_eq!(changes.allowed_cidrs.map(|blocks| blocks.len()), Some(1));
        let both = r#"{"issued_api_key":{"ip_restriction":{},"ipRestriction":{}}}"#;
        assert_eq!(parse(both, "").expect_err(both).status(), 400);
    }

    #[test]
    fn what_is_listed_and_left_out_is_cleared() {
        let changes = parse(r#"{"name":"n"}"#, ALL).expect("changes");
        assert_eq!(changes.scopes, Some(Vec::new()));
        assert_eq!(changes.metadata.as_deref(), Some(""));
        assert_eq!(changes.rate_limit, Some(None));
        assert_eq!(changes.allowed_cidrs, Some(Vec::new()));
        // The name cannot be cleared.
        let error = parse("{}", "update_mask=name").expect_err("an error");
        assert!(
            error.to_string().starts_with("name: is required"),
            "{error}"
        );
    }

    #[test]
    fn unknown_paths_are_refused_by_their_place_and_not_repeated() {
        let long = format!("update_mask=name,{}", "hush".repeat(2000));
        for query in [
            "update_mask=hush",
            "update_mask=name,hush",
            "update_mask=actor_id",
            "update_mask=status",
            "update_mask=*",
            "update_mask=name,",
            "update_mask=,",
            "update_mask=Name",
            "update_mask=RateLimitPolicy",
            "update_mask=metadata.hush",
            "update_mask=issued_api_key.name",
            "update_mask=name%00",
            "update_mask=name%2523",
            "update_mask=name&update_mask=scopes",
            "update_mask=%ff",
            &long,
        ] {
            let error = parse(EVERY_FIELD, query).expect_err("an error");
            assert_eq!(error.status(), 400);
            let text = error.to_string();
            assert!(text.starts_with("update_mask: "), "{query}: {text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn values_keep_to_their_limits() {
        for (body, field) in [
            (format!(r#"{{"name":"{}"}}"#, "n".repeat(256)), "name: "),
            (
                r#"{"issued_api_key":{"name":7}}"#.to_owned(),
                "issued_api_key.name: ",
            ),
            (r#"{"issued_api_key":[]}"#.to_owned(), "issued_api_key: "),
            (
                r#"{"rate_limit_policy":{"quota":0,"window":"1s"}}"#.to_owned(),
                "rate_limit_policy.quota: ",
            ),
            (r#"{"scopes":[""]}"#.to_owned(), "scopes[0]: "),
        ] {
            let error = parse(&body, "").expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }
}
