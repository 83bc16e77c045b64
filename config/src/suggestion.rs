//! "Did you mean …?": finds the key that a misspelt one probably means.

use strsim::{damerau_levenshtein, normalized_damerau_levenshtein};

/// The least similarity of a suggestion: 0 = nothing in common, 1 = equal.
const SIMILARITY_MIN: f64 = 0.72;

/// The candidate that `name` probably means. Compares the spelling first, and then only the last
/// segment, for a key in the wrong mapping. `None` if no candidate is close.
pub(crate) fn suggest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let best = candidates
        .clone()
        .map(|candidate| (candidate, damerau_levenshtein(name, candidate)))
        .min_by_key(|(_, distance)| *distance)
        .map(|(candidate, _)| candidate)
        .filter(|candidate| normalized_damerau_levenshtein(name, candidate) >= SIMILARITY_MIN);
    if best.is_some() {
        return best;
    }
    let last = last_segment(name);
    let mut same_end = candidates.filter(|candidate| last_segment(candidate) == last);
    match (same_end.next(), same_end.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The least similarity of one suggestion among several.
const SIMILARITY_OF_MANY_MIN: f64 = 0.6;
const SUGGESTIONS_MAX: usize = 5;

/// The candidates that `name` may mean, the most probable first: those that are spelt alike, those
/// that end alike, and those that contain it.
pub(crate) fn suggestions<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Vec<&'a str> {
    let mut scored: Vec<(&str, f64)> = Vec::new();
    for candidate in candidates {
        let spelling = normalized_damerau_levenshtein(name, candidate);
        let ends = normalized_damerau_levenshtein(last_segment(name), last_segment(candidate));
        let is_part = name.len() >= 3 && candidate.contains(name);
        let known = scored.iter().any(|(other, _)| *other == candidate);
        if !known && (is_part || spelling >= SIMILARITY_OF_MANY_MIN || ends >= SIMILARITY_MIN) {
            scored.push((candidate, spelling + ends));
        }
    }
    scored.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    scored.truncate(SUGGESTIONS_MAX);
    scored.into_iter().map(|(candidate, _)| candidate).collect()
}

fn last_segment(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 4] = [
        "serve.http.port",
        "serve.metrics.port",
        "log.level",
        "credentials.clock_skew",
    ];

    #[test]
    fn what_was_probably_meant() {
        for (name, meant) in [
            ("serve.http.prot", Some("serve.http.port")),
            ("serve.htp.port", Some("serve.http.port")),
            ("log.levle", Some("log.level")),
            ("clock_skew", Some("credentials.clock_skew")),
            ("server.x.y", None),
            ("port", None),
            ("zzz", None),
        ] {
            assert_eq!(suggest(name, PATHS.iter().copied()), meant, "{name}");
        }
    }
}
