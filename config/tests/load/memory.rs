//! Sizes that follow from the memory limit.

use talos_config::MemoryPlan;

use super::*;

const MIB: u64 = 1 << 20;

/// The settings of `yaml` with two workers, fitted into `limit` bytes.
fn fitted(yaml: &str, limit: u64) -> Result<(Settings, MemoryPlan, Vec<String>), String> {
    let (mut settings, _) =
        load(yaml, &[("TALOS_SERVE_WORKERS", "2")]).map_err(|error| error.to_string())?;
    let (plan, warnings) = settings
        .fit_into(limit)
        .map_err(|error| error.to_string())?;
    let warnings = warnings.iter().map(Warning::to_string).collect();
    Ok((settings, plan, warnings))
}

fn size(plan: &MemoryPlan, name: &str) -> u64 {
    let part = plan.parts.iter().find(|part| part.name == name);
    part.expect(name).bytes
}

#[test]
fn everything_fits_into_every_limit() {
    let mut limit = 96 * MIB;
    while limit < 64 << 30 {
        let (settings, plan, warnings) = fitted("", limit).expect("sizes");
        assert!(plan.total() <= limit, "{} of {limit}", plan.total());
        assert_eq!(warnings, [""; 0], "{limit}");
        let limits = &settings.serve.http.limits;
        assert!(limits.batch_body >= limits.body, "{limit}");
        assert!(limits.batch_body * 2 <= limits.memory, "{limit}");
        // 11 of 16 bytes of the bodies that wait are for changes.
        assert!(
            limits.batch_body as u64 <= plan.waiting_bodies * 11 / 16,
            "{limit}"
        );
        // A reload fits them once more.
        let mut again = settings.clone();
        assert_eq!(again.fit_into(limit).expect("sizes").0, plan);
        limit += limit / 7;
    }
}

#[test]
fn much_memory_changes_no_default() {
    let (settings, plan, _) = fitted("", 8 << 30).expect("sizes");
    let limits = &settings.serve.http.limits;
    assert_eq!(settings.db.block_cache_bytes, 256 << 20);
    assert_eq!(settings.db.write_buffer_bytes, 128 << 20);
    assert_eq!(settings.cache.memory_bytes(), 104_857_600);
    assert_eq!((limits.connections, limits.memory), (8192, 256 << 20));
    assert_eq!((limits.batch_body, limits.batch_answer), (8 << 20, 4 << 20));
    assert_eq!(plan.waiting_bodies, 64 * MIB);
    assert!(!settings.db.tables_in_block_cache);
}

#[test]
fn what_is_set_stays() {
    let yaml = "
serve: {http: {limits: {connections: 4000, batch_body: 6MiB, batch_answer: 1MiB}}}
db: {block_cache_size: 16MiB, write_buffer_size: 5MiB}
cache: {memory: {max_size: 12MiB}}
";
    let (settings, plan, warnings) = fitted(yaml, 128 * MIB).expect("sizes");
    let limits = &settings.serve.http.limits;
    assert_eq!((limits.connections, limits.batch_body), (4000, 6 << 20));
    assert_eq!((limits.memory, limits.batch_answer), (24 << 20, 1 << 20));
    assert!(plan.waiting_bodies * 11 / 16 >= 6 * MIB);
    assert_eq!(size(&plan, "block_cache"), 16 * MIB);
    assert_eq!(size(&plan, "write_buffer"), 5 * MIB);
    assert_eq!(size(&plan, "keys"), 12 * MIB);
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.starts_with("serve.http.limits.connections: "),
        "{warning}"
    );
    // Without a cache of keys it needs no memory.
    let (_, plan, _) = fitted("cache: {type: noop}", 128 * MIB).expect("sizes");
    assert_eq!(size(&plan, "keys"), 0);
}

#[test]
fn bodies_follow_the_memory_that_is_set() {
    let limits = |yaml: &str| {
        let (settings, _) = load(yaml, &[]).expect(yaml);
        let limits = settings.serve.http.limits;
        (limits.batch_body, limits.batch_answer)
    };
    let of = |more: &str| format!("serve: {{http: {{limits: {{memory: 16MiB{more}}}}}}}");
    assert_eq!(limits(&of("")), (4 << 20, 4 << 20));
    assert_eq!(limits(&of(", batch_body: 2MiB")), (2 << 20, 4 << 20));
    assert_eq!(limits(""), (8 << 20, 4 << 20));
}

#[test]
fn what_cannot_fit_is_refused() {
    for (yaml, limit, words) in [
        ("", 47 * MIB, ["47 MiB", "48 MiB", "64 MiB"]),
        (
            "cache: {memory: {max_size: 1GiB}}",
            1024 * MIB,
            [
                "cache.memory.max_size: 1 GiB",
                "1024 MiB",
                "raise the limit",
            ],
        ),
        (
            "db: {block_cache_size: 100MiB}",
            128 * MIB,
            ["db.block_cache_size: 100 MiB", "128 MiB", "leave it unset"],
        ),
    ] {
        let refusal = fitted(yaml, limit).expect_err(yaml);
        let words = words.map(|word| word.replace("1024 MiB", "1 GiB"));
        assert!(words.iter().all(|word| refusal.contains(word)), "{refusal}");
    }
    let (_, _, warnings) = fitted("", 56 * MIB).expect("sizes");
    assert!(
        warnings.concat().contains("raise the limit"),
        "{warnings:?}"
    );
    let huge = "serve: {http: {limits: {memory: 1TiB}}}";
    let (_, _, warnings) = fitted(huge, 1024 * MIB).expect("a warning only");
    assert!(
        warnings.concat().starts_with("serve.http.limits.memory: "),
        "{warnings:?}"
    );
}
