//! Rust code as tokens, as far as it takes to see which names code defines and imports.

/// One lexical token. Literals, comments and lifetimes are left out: they name no module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name, a keyword or a number.
    Word(String),
    /// `::`
    Separator,
    /// Any other character.
    Other(char),
}
use Token::{Other, Separator, Word};

impl Token {
    /// Whether this is the word `word`.
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Word(found) if found == word)
    }
}

/// The names that code defines: of types, traits, functions, modules and constants.
pub fn definitions(text: &str) -> impl Iterator<Item = String> {
    const KEYWORDS: [&str; 8] = [
        "const", "enum", "fn", "mod", "static", "struct", "trait", "type",
    ];
    let tokens = tokens(text);
    let defined = tokens.windows(2).filter_map(|two| match two {
        [Word(keyword), Word(name)] if KEYWORDS.contains(&keyword.as_str()) => Some(name.clone()),
        _ => None,
    });
    defined.collect::<Vec<_>>().into_iter()
}

/// Divides code into tokens.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment_length(rest)
        } else if let Some(length) = string_length(rest) {
            length
        } else if first == '\'' {
            quote_length(rest)
        } else if is_word(first) {
            let length = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            found.push(Word(rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            found.push(Separator);
            2
        } else {
            if !first.is_whitespace() {
                found.push(Other(first));
            }
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    found
}

/// The length of the block comment that begins here; one may contain others.
fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else if let Some(letter) = rest.chars().next() {
            at += letter.len_utf8();
        }
        if depth == 0 || at >= text.len() {
            return at;
        }
    }
}

/// The length of the string literal that begins here, whether raw, of bytes, or neither.
fn string_length(text: &str) -> Option<usize> {
    let after_prefix = ["br", "cr", "b", "c", "r", ""]
        .iter()
        .map(|prefix| (*prefix, text.strip_prefix(*prefix)))
        .find_map(|(prefix, rest)| {
            let rest = rest?;
            let hashes = rest.len() - rest.trim_start_matches('#').len();
            let is_raw = prefix.ends_with('r');
            let opens = rest[hashes..].starts_with('"') && (is_raw || hashes == 0);
            opens.then_some((prefix.len(), hashes, is_raw))
        });
    let (prefix, hashes, is_raw) = after_prefix?;
    let start = prefix + hashes + 1;
    let end = if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        text[start..].find(&end).map(|length| length + end.len())
    } else {
        let mut is_escaped = false;
        let closing = |(_, byte): &(usize, u8)| {
            let closes = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            closes
        };
        let mut bytes = text.bytes().enumerate().skip(start);
        bytes.find(closing).map(|(index, _)| index + 1 - start)
    };
    Some(end.map_or(text.len(), |length| start + length))
}

/// The length of the character literal or the lifetime that begins here.
fn quote_length(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((index, letter))) => {
            let rest = &text[index + letter.len_utf8()..];
            index + letter.len_utf8() + rest.find('\'').map_or(0, |length| length + 1)
        }
        (_, Some((index, '\''))) => index + 1,
        _ => 1,
    }
}
