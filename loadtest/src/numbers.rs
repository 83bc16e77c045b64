//! Numbers in the form in which people read them.

/// A number rounded to an integer, with commas between groups of three digits.
#[must_use]
pub fn thousands(number: f64) -> String {
    let rounded = format!("{number:.0}");
    let (sign, digits) = match rounded.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", rounded.as_str()),
    };
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds in a unit that gives a short number.
#[must_use]
pub fn latency(micros: f64) -> String {
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else if micros < 100_000.0 {
        format!("{:.2} ms", micros / 1000.0)
    } else if micros < 1_000_000.0 {
        format!("{:.0} ms", micros / 1000.0)
    } else {
        format!("{:.2} s", micros / 1_000_000.0)
    }
}

/// The label of a power of ten in microseconds on an axis.
#[must_use]
pub fn latency_tick(micros: f64) -> String {
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else if micros < 1_000_000.0 {
        format!("{:.0} ms", micros / 1000.0)
    } else {
        format!("{:.0} s", micros / 1_000_000.0)
    }
}

/// Bytes in MiB.
#[must_use]
pub fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

/// Appends a number in decimal digits.
pub fn append_decimal(number: u64, out: &mut Vec<u8>) {
    if number >= 10 {
        append_decimal(number / 10, out);
    }
    out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(-123_456.0), "-123,456");
    }

    #[test]
    fn latencies_have_a_unit() {
        assert_eq!(latency(357.4), "357 µs");
        assert_eq!(latency(13_100.0), "13.10 ms");
        assert_eq!(latency(450_000.0), "450 ms");
        assert_eq!(latency(2_500_000.0), "2.50 s");
        let ticks = [10.0, 1e3, 1e5, 1e6].map(latency_tick);
        assert_eq!(ticks, ["10 µs", "1 ms", "100 ms", "1 s"]);
        assert_eq!(mebibytes(1_572_864.0), "1.5 MiB");
    }
}
