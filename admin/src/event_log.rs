//! The events of keys as lines of the log. No line holds a secret.

/// Logs an event of the key of a record: `key_event!(EVENT, RECORD, REQUEST, MESSAGE, FIELD =
/// VALUE, …)`. `owner_id` is the actor of the key. `principal` is the administrator, if the server
/// authenticates administrators.
macro_rules! key_event {
    (
        $event:expr, $record:expr, $request:expr, $message:literal
        $(, $field:ident = $value:expr)* $(,)?
    ) => {{
        let (record, request): (&talos_model::Record, &talos_api::control::ControlRequest) =
            ($record, $request);
        let facts = talos_api::change::KeyFacts::of(record);
        tracing::info!(
            event = $event,
            key_id = %record.key_id,
            key_type = facts.key_type,
            prefix = facts.prefix,
            tenant = %record.tenant,
            owner_id = record.actor_id,
            visibility = facts.visibility,
            expire_time = facts.expire_time.as_deref(),
            reason = facts.reason,
            $($field = $value,)*
            principal = request.principal.as_deref().map(|principal| principal.name.as_str()),
            request_id = request.request_id,
            $message
        );
    }};
}

pub(crate) use key_event;
