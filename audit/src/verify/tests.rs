use super::*;
use crate::samples::{keys, lines};

/// The faults of a log as `FILE:LINE: what`.
fn faults(keys: &ChainKeys, files: &[&[String]], expected: Option<Link>) -> Vec<String> {
    let report = report(keys, files, expected, Restarts::Refused);
    report.faults.iter().map(Fault::to_string).collect()
}

fn report(
    keys: &ChainKeys,
    files: &[&[String]],
    expected: Option<Link>,
    restarts: Restarts,
) -> Report {
    let mut verifier = Verifier::new(keys, restarts, expected);
    for (name, lines) in ["a", "b", "c"].iter().zip(files) {
        verifier.file(name, lines.concat().as_bytes()).unwrap();
    }
    verifier.finish()
}

#[test]
fn an_untouched_log_has_no_fault_over_any_division_into_files() {
    let keys = keys("secret");
    let (lines, last) = lines(&keys, Link::START, 9);
    for cut in 0..=lines.len() {
        let (first, second) = lines.split_at(cut);
        let report = report(&keys, &[first, second], Some(last), Restarts::Refused);
        assert!(
            report.faults.is_empty() && report.remarks.is_empty(),
            "{report:?}"
        );
        assert_eq!((report.entries, report.last.unwrap().0), (9, last));
    }
}

#[test]
fn an_alteration_of_any_byte_is_found_in_its_line() {
    let keys = keys("secret");
    let (original, _) = lines(&keys, Link::START, 4);
    for at in 0..original[2].len() - 1 {
        let mut bytes = original[2].clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        let mut altered = original.clone();
        altered[2] = String::from_utf8(bytes).unwrap();
        let found = faults(&keys, &[&altered], None);
        assert!(
            found.iter().any(|fault| fault.starts_with("a:3: ")),
            "byte {at}: {found:?}"
        );
    }
}

#[test]
fn each_member_is_protected() {
    let keys = keys("secret");
    let (original, _) = lines(&keys, Link::START, 3);
    for (from, to) in [
        ("\"seq\":2", "\"seq\":3"),
        ("2023-11-14", "2023-11-15"),
        ("node-a", "node-b"),
        ("\"event\":\"Request\"", "\"event\":\"RequestRefused\""),
        ("\"name\":\"ci\"", "\"name\":\"eve\""),
        ("\"proof\":\"token\"", "\"proof\":\"certificate\""),
        ("\"role\":\"write\"", "\"role\":\"read\""),
        ("192.0.2.7", "192.0.2.8"),
        ("r-1", "r-7"),
        ("adminRevokeIssuedApiKey", "adminGetIssuedApiKey"),
        ("\"POST\"", "\"GET\""),
        (":revoke", ":rotate"),
        ("-000000000007", "-000000000008"),
        ("\"status\":200", "\"status\":403"),
        ("\"1.42\"", "\"1.43\""),
        ("\"prev\":\"", "\"prev\":\"0"),
    ] {
        let mut altered = original.clone();
        altered[1] = original[1].replacen(from, to, 1);
        assert_ne!(altered[1], original[1], "{from} is not in the line");
        let found = faults(&keys, &[&altered], None);
        assert!(found[0].starts_with("a:2: "), "{from}: {found:?}");
    }
}

#[test]
fn lines_that_are_missing_repeated_or_moved_are_named() {
    let keys = keys("secret");
    let (original, last) = lines(&keys, Link::START, 6);
    let of = |order: &[usize]| -> Vec<String> {
        order
            .iter()
            .map(|index| original[index - 1].clone())
            .collect()
    };
    for (order, wanted) in [
        (
            &[1, 2, 5, 6][..],
            &["a:3: entries 3 to 4 are missing before this one"][..],
        ),
        (
            &[1, 2, 2, 3, 4, 5, 6],
            &["a:3: entry 2 stands behind entry 2: it is repeated or out of order"],
        ),
        (
            &[1, 2, 4, 3, 5, 6],
            &[
                "a:3: entries 3 to 3 are missing before this one",
                "a:4: entry 3 stands behind entry 4: it is repeated or out of order",
            ],
        ),
        (
            &[1, 2, 3, 1, 4, 5, 6],
            &[
                "a:4: a new chain begins here, although entry 3 came before",
                "a:5: entries 2 to 3 are missing before this one",
            ],
        ),
    ] {
        assert_eq!(faults(&keys, &[&of(order)], None), wanted, "{order:?}");
    }
    // Only a remembered line shows that the end is gone.
    let cut = of(&[1, 2, 3]);
    assert!(faults(&keys, &[&cut], None).is_empty());
    assert_eq!(
        faults(&keys, &[&cut], Some(last)),
        ["entry 6 is expected and not there: the end was cut off, or a file is missing"]
    );
    let other = Link { seq: 2, ..last };
    assert_eq!(
        faults(&keys, &[&original], Some(other)),
        ["a:2: entry 2 is not the expected one: its code is another"]
    );
    let late = report(&keys, &[&of(&[4, 5, 6])], None, Restarts::Refused);
    assert!(late.faults.is_empty());
    assert!(
        late.remarks[0].text.contains("begins with entry 4"),
        "{late:?}"
    );
}

#[test]
fn a_line_of_another_chain_does_not_fit() {
    let keys = keys("secret");
    let (original, _) = lines(&keys, Link::START, 4);
    let forked_from = Link {
        seq: 2,
        mac: Mac([7; 32]),
    };
    let (fork, _) = lines(&keys, forked_from, 1);
    let forked = [&original[..2], &fork, &original[3..]].concat();
    assert_eq!(
        faults(&keys, &[&forked], None),
        [
            "a:3: entry 3 was not written after the entry before it: that one was replaced",
            "a:4: entry 4 was not written after the entry before it: that one was replaced",
        ]
    );
}

#[test]
fn a_foreign_secret_is_named_and_a_retired_one_is_accepted() {
    let (old, new) = (keys("old"), keys("new"));
    let (first, last) = lines(&old, Link::START, 2);
    let (second, _) = lines(&new, last, 2);
    let both = [first, second].concat();
    let secret = |text: &str| talos_model::Secret::new(text.to_owned());
    let rotated = ChainKeys::new(&secret("new"), &[secret("old")]);
    assert!(faults(&rotated, &[&both], None).is_empty());
    let found = faults(&new, &[&both], None);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a:1: entry 1 was made with another secret"));
    assert!(found[0].contains(old.current().name()) && found[0].contains("retired"));
}

#[test]
fn bytes_that_no_entry_declares_are_a_fault() {
    let keys = keys("secret");
    let (original, _) = lines(&keys, Link::START, 3);
    let mut added = original.clone();
    added.insert(1, "{\"seq\":2,\"event\":\"Request\"}\n".to_owned());
    assert_eq!(
        faults(&keys, &[&added], None),
        ["a:2: no entry of the audit log"]
    );
    let mut open = original.clone();
    open.push("{\"seq\":4".to_owned());
    let report = report(&keys, &[&open], None, Restarts::Refused);
    assert!(report.faults.is_empty());
    assert!(report.remarks[0].text.contains("not complete"));
    // In the middle it is one.
    assert_eq!(
        faults(&keys, &[&open, &[]], None),
        ["a:4: no entry of the audit log"]
    );
    let long = vec!["x".repeat(3 * LINE_BYTES) + "\n"];
    assert_eq!(
        faults(&keys, &[&original, &long], None),
        ["b:1: no entry of the audit log"]
    );
}

#[test]
fn chains_of_standard_output_may_follow_each_other() {
    let keys = keys("secret");
    let (lines, _) = lines(&keys, Link::START, 2);
    let twice = [lines.clone(), lines].concat();
    let report = report(&keys, &[&twice], None, Restarts::Allowed);
    assert!(report.faults.is_empty(), "{report:?}");
    assert_eq!(report.remarks[0].to_string(), "a:3: a new chain begins");
}

#[test]
fn faults_are_bounded() {
    let keys = keys("secret");
    let (lines, _) = lines(&self::keys("other"), Link::START, 250);
    let report = report(&keys, &[&lines], None, Restarts::Refused);
    assert_eq!((report.faults.len(), report.more_faults), (100, 150));
}

#[test]
fn files_are_ordered_by_their_first_entry() {
    let keys = keys("secret");
    let (lines, _) = lines(&keys, Link::START, 3);
    let number = |text: String| first_number(text.as_bytes()).unwrap();
    assert_eq!(number(lines[1..].concat()), Some(2));
    assert_eq!(number(format!("{{\"seq\n{}", lines[2])), Some(3));
    assert_eq!(number("x\ny\nz\n".to_owned()), None);
}
