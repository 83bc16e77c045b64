//! Lists within one text: JSON arrays in environment variables and in the files that they name.

use crate::input::{ExpiringItem, Input};
use crate::key::Key;
use crate::mapping::Mapping;
use crate::tree::{self, Node};

/// The list that `text` is if it begins like a JSON array; `None` = it does not.
///
/// A text that begins like an array and is none is an error. Divided at its commas, it would become
/// items that nobody meant, such as wrong secrets.
pub(crate) fn json(text: &str, key: &Key) -> Option<Result<Input, String>> {
    let text = text.trim();
    text.starts_with('[').then(|| array(text, key))
}

fn array(text: &str, key: &Key) -> Result<Input, String> {
    let no_array = || {
        "begins with [ but is not a JSON array such as [\"a\",\"b\"]; write an item that begins with [ inside of one"
            .to_owned()
    };
    if !text.ends_with(']') {
        return Err(no_array());
    }
    let Ok(Node::List(nodes)) = tree::parse(text).map(|node| node.value) else {
        return Err(no_array());
    };
    let nodes = nodes.into_iter().map(|node| node.value);
    if key.kind.items_may_expire() {
        let items = nodes.map(ExpiringItem::of).collect::<Option<_>>();
        return items.map(Input::Expiring).ok_or_else(|| {
            "every item must be a text, or an object of value and expires_at".to_owned()
        });
    }
    let texts = nodes.map(|node| match node {
        Node::Scalar(text) => Some(text),
        Node::Null | Node::List(_) | Node::Mapping(_) => None,
    });
    let texts = texts.collect::<Option<_>>();
    texts
        .map(Input::Many)
        .ok_or_else(|| "every item must be a text".to_owned())
}

/// The list that was written with one variable for each item. Where items may expire, an item that
/// begins with `{` is a JSON object of `value` and `expires_at`.
///
/// # Errors
/// The index of the first bad item, and what is wrong with it.
pub(crate) fn items(texts: Vec<String>, key: &Key) -> Result<Input, (usize, String)> {
    if !key.kind.items_may_expire() {
        return Ok(Input::Many(texts));
    }
    let read = |(index, text): (usize, String)| {
        if !text.trim_start().starts_with('{') {
            return Ok(ExpiringItem::lasting(text));
        }
        let mapping = Mapping::item(&text).map_err(|message| (index, message))?;
        let known = mapping.refuse_unknown(&["value", "expires_at"]);
        let value = known.and_then(|()| mapping.required("value"));
        let value = value.map_err(|message| (index, message))?;
        Ok(ExpiringItem {
            value: value.to_owned(),
            expires_at: mapping.get("expires_at").map(str::to_owned),
        })
    };
    let items = texts.into_iter().enumerate().map(read);
    items.collect::<Result<_, _>>().map(Input::Expiring)
}
