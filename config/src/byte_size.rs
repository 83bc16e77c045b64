//! Sizes in bytes as text: `1048576`, `64KiB`, `256 MiB`, `2GB`.

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Parses a whole number with an optional unit, with or without one space between them. Units are
/// those of IEC 80000-13 (`KiB`) and SI (`KB`), in any case. Returns `None` for everything else,
/// and for sizes that do not fit into 64 bits.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let number: u64 = digits.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() {
        // "1 " is probably a mistake.
        return (digits.len() == text.len()).then_some(number);
    }
    let (_, bytes_per_unit) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*bytes_per_unit)
}

/// Formats the size in the largest binary unit that divides it.
pub(crate) fn format(bytes: u64) -> String {
    for (name, bytes_per_unit) in [
        ("TiB", 1_u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ] {
        if bytes > 0 && bytes.is_multiple_of(bytes_per_unit) {
            return format!("{} {name}", bytes / bytes_per_unit);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("104857600", 104_857_600),
            ("64KiB", 65_536),
            ("256 MiB", 268_435_456),
            ("256 mib", 268_435_456),
            ("1GB", 1_000_000_000),
            ("2TiB", 2 << 40),
            ("7b", 7),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "1  MiB",
            "1 ",
            " 1",
            "1Mi",
            "1e6",
            "18446744073709551616",
            "16777216TiB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (bytes, text) in [
            (0, "0 B"),
            (65_536, "64 KiB"),
            (1000, "1000 B"),
            (1 << 44, "16 TiB"),
        ] {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text), Some(bytes));
        }
    }
}
