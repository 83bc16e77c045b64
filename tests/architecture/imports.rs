//! What the files of a crate import from each other, as their code says: by `use`, or by a path
//! in the midst of an expression. Test code is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tokens::Token::{self, Other, Separator, Word};
use super::tokens::tokens;

/// Paths of source files, and their text.
pub type Sources = BTreeMap<PathBuf, String>;
/// Which file imports which, and the names that it takes.
pub type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// The names of the modules from the root of a crate to a module.
type ModulePath = Vec<String>;

/// The imports between the files of the crate whose root is the file `root`. A name that a module
/// re-exports is imported from the file that it comes from, by the file that uses it: the re-export
/// itself is no import.
pub fn imports(sources: &Sources, root: &Path) -> Imports {
    let mut modules = Modules::default();
    modules.add_file(sources, root, root.parent().unwrap(), Vec::new());
    let mut imports = Imports::new();
    for (module, file, tokens) in &modules.code {
        let own = imports.entry(file.clone()).or_default();
        for path in paths(tokens).iter().filter(|path| !path.is_reexport) {
            if let Some((target, name)) = modules.origin(module, &path.words)
                && target != *file
            {
                own.entry(target).or_default().insert(name);
            }
        }
    }
    imports
}

/// The modules of a crate.
#[derive(Default)]
struct Modules {
    /// The file of each module.
    files: BTreeMap<ModulePath, PathBuf>,
    /// The paths that a module gives names to by `use`. The modules in it know those names.
    used: BTreeMap<(ModulePath, String), Vec<String>>,
    /// The code of each module, without that of the modules in it.
    code: Vec<(ModulePath, PathBuf, Vec<Token>)>,
}

impl Modules {
    /// Adds the module that is in `file`, and those that it declares. Their files are in `folder`.
    fn add_file(&mut self, sources: &Sources, file: &Path, folder: &Path, module: ModulePath) {
        let text = sources
            .get(file)
            .unwrap_or_else(|| panic!("{} is declared and missing", file.display()));
        self.add(sources, file, folder, module, &tokens(text));
    }

    /// Adds the module `module` of which `tokens` is the code.
    fn add(
        &mut self,
        sources: &Sources,
        file: &Path,
        folder: &Path,
        module: ModulePath,
        tokens: &[Token],
    ) {
        self.files.insert(module.clone(), file.to_owned());
        let mut own = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if is_test_attribute(&tokens[at..]) {
                at = item_end(tokens, at);
                continue;
            }
            if let [first, Word(name), next, ..] = &tokens[at..]
                && first.is("mod")
            {
                let inner = [&module[..], std::slice::from_ref(name)].concat();
                let folder_of_inner = folder.join(name);
                if *next == Other(';') {
                    let candidates = [
                        folder.join(format!("{name}.rs")),
                        folder_of_inner.join("mod.rs"),
                    ];
                    let found = candidates.iter().find(|path| sources.contains_key(*path));
                    let found = found
                        .unwrap_or_else(|| panic!("{}: no file of mod {name}", file.display()));
                    self.add_file(sources, found, &folder_of_inner, inner);
                    at += 3;
                    continue;
                }
                if *next == Other('{') {
                    let end = block_end(tokens, at + 2);
                    let block = &tokens[at + 3..end - 1];
                    self.add(sources, file, &folder_of_inner, inner, block);
                    at = end;
                    continue;
                }
            }
            own.push(tokens[at].clone());
            at += 1;
        }
        for path in paths(&own).into_iter().filter(|path| path.is_used) {
            let name = path.alias.or(path.words.last().cloned());
            self.used
                .insert((module.clone(), name.unwrap_or_default()), path.words);
        }
        self.code.push((module, file.to_owned(), own));
    }

    /// The file that a path in `module` leads to, through any re-exports, and the name that is
    /// taken from it. `None` when it leads out of the crate, or is no path of modules.
    fn origin(&self, module: &[String], path: &[String]) -> Option<(PathBuf, String)> {
        let (mut at, mut name) = self.resolve(module, path)?;
        let mut passed = BTreeSet::new();
        while passed.insert((at.clone(), name.clone()))
            && let Some(path) = self.used.get(&(at.clone(), name.clone()))
        {
            match self.resolve(&at, path) {
                Some(next) => (at, name) = next,
                // It comes from another crate; the import is of the file that hands it on.
                None => break,
            }
        }
        Some((self.files[&at].clone(), name))
    }

    /// The module that a path in `module` leads to, and the name that is taken from it.
    fn resolve(&self, module: &[String], path: &[String]) -> Option<(ModulePath, String)> {
        let mut at = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => at.clear(),
            "self" | "super" => {}
            child => {
                at.push(child.to_owned());
                self.files.get(&at)?;
            }
        }
        rest = &rest[1..];
        if path[0] == "super" {
            at.pop()?;
        }
        while let Some(word) = rest.first() {
            let next = match word.as_str() {
                "super" => at[..at.len().checked_sub(1)?].to_vec(),
                "self" => at.clone(),
                word => [&at[..], &[word.to_owned()]].concat(),
            };
            if !self.files.contains_key(&next) {
                break;
            }
            at = next;
            rest = &rest[1..];
        }
        let name = rest.first().or(at.last())?;
        Some((at.clone(), name.clone()))
    }
}

/// A path in the code.
#[derive(Clone, Debug, Default)]
struct Found {
    words: Vec<String>,
    /// The name after `as`.
    alias: Option<String>,
    /// Whether it belongs to a `use`.
    is_used: bool,
    /// Whether that `use` is public, be it in the crate only.
    is_reexport: bool,
}

/// All paths of more than one word in the code; those of a `use` with braces one by one.
fn paths(tokens: &[Token]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = &tokens[..at];
        let is_start =
            matches!(tokens[at], Word(_)) && !matches!(before.last(), Some(Separator | Other('.')));
        // `pub(in crate::a)` declares who may import, and imports nothing.
        let is_visibility = matches!(before, [.., Other('('), Word(word)] if word == "in");
        if is_start && !is_visibility {
            let first = Found {
                is_used: before.last().is_some_and(|token| token.is("use")),
                is_reexport: match before {
                    // `)` ends `pub(crate)`.
                    [.., visibility, last] if last.is("use") => {
                        visibility.is("pub") || *visibility == Other(')')
                    }
                    _ => false,
                },
                ..Found::default()
            };
            at = read_paths(tokens, at, &first, &mut found);
        } else {
            at += 1;
        }
    }
    found.retain(|path| path.words.len() > 1);
    found
}

/// Reads a path, or a tree of paths in braces, that begins at `at` and goes on from `prefix`. The
/// place after it.
fn read_paths(tokens: &[Token], mut at: usize, prefix: &Found, found: &mut Vec<Found>) -> usize {
    let mut path = prefix.clone();
    loop {
        match tokens.get(at) {
            Some(Word(word)) => path.words.push(word.clone()),
            Some(Other('*')) if !path.words.is_empty() => path.words.push("*".to_owned()),
            Some(Other('{')) if !path.words.is_empty() => {
                at += 1;
                while at < tokens.len() && tokens[at] != Other('}') {
                    at = match tokens[at] {
                        Word(_) | Other('*') => read_paths(tokens, at, &path, found),
                        _ => at + 1,
                    };
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&Separator) {
            break;
        }
        at += 1;
    }
    if path.is_used
        && let [as_word, Word(alias), ..] = &tokens[at.min(tokens.len())..]
        && as_word.is("as")
    {
        path.alias = Some(alias.clone());
        at += 2;
    }
    if path.is_used && path.words.len() > 1 && path.words.last().is_some_and(|word| word == "self")
    {
        path.words.pop();
    }
    found.push(path);
    at
}

/// Whether an attribute begins here that keeps an item for tests.
fn is_test_attribute(tokens: &[Token]) -> bool {
    let [Other('#'), Other('['), first, Other('('), rest @ ..] = tokens else {
        return false;
    };
    let end = rest.iter().position(|token| *token == Other(']'));
    let rest = &rest[..end.unwrap_or(rest.len())];
    let has = |word: &str| rest.iter().any(|token| token.is(word));
    first.is("cfg") && has("test") && !has("not")
}

/// Where the item ends whose attributes begin at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at) == Some(&Other('#')) {
        at = block_end(tokens, at + 1);
    }
    let is_use = tokens[at..].iter().take(6).any(|token| token.is("use"));
    while at < tokens.len() {
        match tokens[at] {
            Other(';') => return at + 1,
            Other('{') if !is_use => return block_end(tokens, at),
            Other('(' | '[' | '{') => at = block_end(tokens, at),
            Other('}') => return at,
            _ => at += 1,
        }
    }
    at
}

/// Where the bracket that opens at `at` is closed, and one further.
fn block_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Other('(' | '[' | '{') => depth += 1,
            Other(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}
