//! An HTML page that loads nothing from elsewhere, and looks on paper as it does on a screen.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "\
body{font:14px/1.45 system-ui,sans-serif;color:#000;background:#fff;max-width:54rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #000}\
table{border-collapse:collapse;margin:.5rem 0;width:100%}\
th,td{padding:.15rem .5rem;border-bottom:1px solid #ccc;text-align:right;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child{text-align:left}th{border-bottom:1px solid #000}\
.facts td{text-align:left}code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}\
figure{margin:1.25rem 0}figcaption{font-weight:600}svg{width:100%;height:auto;font:11px system-ui,sans-serif}\
.wrong{font-weight:700;text-decoration:underline}\
@page{margin:15mm}\
@media print{body{max-width:none;margin:0;padding:0;font-size:10pt}\
figure,table,tr{break-inside:avoid}h1,h2,figcaption{break-after:avoid}*{print-color-adjust:exact}}";

/// A whole page as text.
#[must_use]
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    };
    // HTML allows no control characters. They come from answers of a broken server.
    let allowed = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    let characters = page.into_string();
    let characters = characters.chars();
    characters
        .map(|character| {
            if allowed(character) {
                character
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}

/// A table. The first cell of each row names the row.
#[must_use]
pub fn table<Row: AsRef<[String]>>(head: &[&str], rows: impl IntoIterator<Item = Row>) -> Markup {
    html! {
        table {
            thead {
                tr { @for cell in head { th { (cell) } } }
            }
            tbody {
                @for row in rows {
                    tr { @for cell in row.as_ref() { td { (cell) } } }
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Fails unless every element is closed in order, every attribute is quoted, and nothing is
    /// loaded from elsewhere.
    pub fn assert_well_formed_and_self_contained(page: &str) {
        let rest = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let mut open: Vec<&str> = Vec::new();
        let mut pieces = rest.split('<');
        assert_eq!(pieces.next(), Some(""));
        for piece in pieces {
            let (tag, words) = piece.split_once('>').expect("a tag ends");
            assert!(
                open.last() == Some(&"style") || !words.contains('>'),
                "{piece}"
            );
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{piece}");
                continue;
            }
            let (tag, closed) = match tag.strip_suffix('/') {
                Some(tag) => (tag, true),
                None => (tag, false),
            };
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(
                ![
                    "script", "link", "img", "iframe", "object", "a", "image", "use"
                ]
                .contains(&name),
                "{piece}"
            );
            let parts: Vec<_> = attributes.split('"').collect();
            assert!(parts.len() % 2 == 1, "quotes: {piece}");
            for pair in parts.chunks(2) {
                if let [name, value] = pair {
                    let name = name.trim().strip_suffix('=').expect("name=\"value\"");
                    assert!(!["src", "href", "style"].contains(&name), "{piece}");
                    assert!(!value.contains("url("), "{piece}");
                }
            }
            // HTML has no end tag for this element.
            if !closed && name != "meta" {
                open.push(name);
            }
            for entity in words.split('&').skip(1) {
                let (entity, _) = entity.split_once(';').expect("an entity ends");
                assert!(["amp", "lt", "gt", "quot"].contains(&entity), "{entity}");
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!page.contains("@import") && !page.contains("url("));
    }

    #[test]
    fn words_cannot_become_elements() {
        let hostile = "</td><script>alert(\"1\")</script>&\u{1}";
        let page = page(hostile, &table(&[hostile], [[hostile.to_owned()]]));
        assert_well_formed_and_self_contained(&page);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&quot;1"));
        assert!(!page.contains('\u{1}'));
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn an_element_that_is_not_closed_is_found() {
        assert_well_formed_and_self_contained("<!DOCTYPE html>\n<html><p></html>");
    }
}
