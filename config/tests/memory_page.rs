//! `docs/memory.md` shows the sizes that follow from each limit.

#![cfg(test)]

use std::fs;
use std::path::Path;

use talos_config::Settings;

const MIB: u64 = 1 << 20;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/memory.md");
    fs::read_to_string(path).expect("the page")
}

/// The row of this limit, without the last column, which is measured.
fn row(limit: u64) -> String {
    let workers = if limit < 128 { "1" } else { "2" };
    let environment = [
        ("TALOS_CREDENTIALS_ISSUER", "x"),
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "correct-horse-battery-staple-0123456789",
        ),
        ("TALOS_SERVE_WORKERS", workers),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (mut settings, _) = Settings::load(None, environment.into_iter(), &[]).expect("settings");
    let (plan, _) = settings.fit_into(limit * MIB).expect("sizes");
    let size = |name: &str| {
        let part = plan.parts.iter().find(|part| part.name == name);
        part.expect(name).bytes / MIB
    };
    let limits = &settings.serve.http.limits;
    let each = |count: usize| match workers {
        "1" => count.to_string(),
        _ => format!("{count} each"),
    };
    let of_worker = limits.memory as u64 / MIB;
    let of_workers = match workers {
        "1" => format!("1 worker with {of_worker}"),
        _ => format!("2 workers with {of_worker} each"),
    };
    format!(
        "| {limit} | {} | {} | {} | {}: {of_workers} | {}: {} | {} | {} |",
        size("block_cache"),
        size("write_buffer"),
        size("keys"),
        size("requests"),
        size("connections"),
        each(limits.connections),
        size("waiting_requests"),
        limits.batch_body as u64 / MIB,
    )
}

#[test]
fn the_page_has_the_sizes_of_every_limit() {
    let page = page();
    for limit in [64, 128, 256, 512, 1024, 2048, 4096] {
        let row = row(limit);
        assert!(page.contains(&row), "missing: {row}");
    }
}
