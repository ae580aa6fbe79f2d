//! The files of this checkout as text, for the test that holds them to the project's style.
//!
//! It walks the folders instead of asking git, so that a new file is looked at before it is added.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::machine::checkout;

/// The crates of the workspace.
pub const CRATES: [&str; 6] = ["core", "proto", "coordinator", "agent", "cli", "tests"];

/// One text file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the checkout, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// One line that matters to a rule.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// From 1.
    pub number: usize,
    /// Its text.
    pub text: &'a str,
}

/// All text files of the project, without what git ignores by folder.
///
/// # Panics
/// If a folder cannot be read.
pub fn files() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&checkout(), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust files among them.
pub fn rust_files() -> Vec<Source> {
    let mut files = files();
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("file type");
        if kind.is_dir() && !is_foreign(&path) {
            collect(&path, found);
        } else if kind.is_file()
            && !is_foreign(&path)
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push(Source {
                path: relative(&path),
                text,
            });
        }
    }
}

/// What is in the checkout and not of the project. `.git` is a file in a linked work tree.
fn is_foreign(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == "target" || name == ".git")
}

fn relative(path: &Path) -> String {
    let root = checkout();
    let path: PathBuf = path.strip_prefix(&root).unwrap_or(path).to_owned();
    path.to_string_lossy().into_owned()
}

/// The folders that a reader meets first: those at the top, and those below a crate's `src`, if
/// there is more in them than tests.
pub fn folders() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in subfolders("") {
        found.insert(format!("{name}/"));
    }
    for name in CRATES {
        let src = format!("{name}/src/");
        for below in subfolders(&src) {
            let folder = format!("{src}{below}/");
            if !only_tests(&folder) {
                found.insert(folder);
            }
        }
    }
    found
}

fn only_tests(folder: &str) -> bool {
    let mut files = Vec::new();
    collect(&checkout().join(folder), &mut files);
    files.iter().all(Source::is_test)
}

fn subfolders(of: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(checkout().join(of)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.path().is_dir() && !is_foreign(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

impl Source {
    /// Whether the whole file is for tests only.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// Whether it is part of a program: below `src`, and not of the crate of tests.
    pub fn is_production(&self) -> bool {
        self.path.contains("/src/") && !self.is_test()
    }

    /// The lines before the module of unit tests; of the tests' harness too, which others build on.
    pub fn production_lines(&self) -> Vec<Line<'_>> {
        if self.is_test() && !self.path.starts_with("tests/src/") {
            return Vec::new();
        }
        self.split().0
    }

    /// The lines for tests only: the module of unit tests, or the whole file.
    pub fn test_lines(&self) -> Vec<Line<'_>> {
        if self.is_test() {
            return self.lines().collect();
        }
        self.split().1
    }

    /// The names of its test functions: those that a test runner runs, and those named after a scenario
    /// that one of them calls.
    pub fn tests(&self) -> BTreeSet<&str> {
        let (mut found, mut called) = (BTreeSet::new(), BTreeSet::new());
        let (mut marked, mut in_test) = (false, false);
        for line in self.lines().filter(|line| is_code(*line)) {
            let text = line.text.trim();
            let head = text.split_once("fn ").map(|(_, rest)| until_bracket(rest));
            if text == "#[test]" || text.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(name) = head {
                in_test = std::mem::take(&mut marked);
                found.extend(in_test.then_some(name));
            } else if in_test {
                called.extend(Some(until_bracket(text)).filter(|name| is_scenario(name)));
            }
        }
        found.extend(called);
        found
    }

    /// Every line that is not a comment.
    pub fn code(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines().filter(|line| is_code(*line))
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().enumerate().map(|(i, text)| Line {
            number: i + 1,
            text,
        })
    }

    fn split(&self) -> (Vec<Line<'_>>, Vec<Line<'_>>) {
        let mut lines = self.lines();
        let before = lines
            .by_ref()
            .take_while(|line| line.text.trim_end() != "#[cfg(test)]")
            .collect();
        (before, lines.collect())
    }
}

fn until_bracket(text: &str) -> &str {
    text.split('(').next().unwrap_or_default()
}

/// Whether a name begins as those of scenarios do: `t01_`.
fn is_scenario(name: &str) -> bool {
    let name = name.as_bytes();
    matches!(name, [b't' | b'i' | b'u', a, b, b'_', ..] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// Whether a line is more than a comment.
pub fn is_code(line: Line<'_>) -> bool {
    let text = line.text.trim_start();
    !text.is_empty() && !text.starts_with("//")
}

/// Whether a line names something as a word of its own: `nix::` is not named by `unix::`.
pub fn names(line: Line<'_>, word: &str) -> bool {
    line.text.match_indices(word).any(|(at, _)| {
        let before = line.text[..at].chars().next_back();
        let after = line.text[at + word.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let ends_in_word = word.chars().next_back().is_some_and(char::is_alphanumeric);
        !(joins(before) || ends_in_word && joins(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line { number: 1, text }
    }

    #[test]
    fn a_test_is_what_is_marked_as_one_or_a_scenario_that_it_calls() {
        let text = "fn t01_unused() {}\n#[test]\n#[ignore]\nfn one() {\nt02_part();\nhelper();\n}\n\
                    fn helper() {\nt03_of_nobody();\n}\n// fn said() {}\n\
                    #[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}";
        let source = Source {
            path: String::new(),
            text: text.to_owned(),
        };
        assert_eq!(source.tests(), ["one", "t02_part", "two"].into());
    }

    #[test]
    fn a_name_is_a_word_of_its_own() {
        assert!(names(line("use nix::sys;"), "nix::"));
        assert!(!names(line("use std::os::unix::fs;"), "nix::"));
        assert!(names(line("a: HashMap<u8, u8>"), "HashMap"));
        assert!(!names(line("a: HashMapLike"), "HashMap"));
        assert!(!is_code(line("  /// todo")));
    }

    #[test]
    fn unit_tests_are_apart_from_production_lines() {
        let source = Source {
            path: "core/src/x.rs".into(),
            text: "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n".into(),
        };
        assert_eq!(source.production_lines().len(), 2);
        assert_eq!(source.test_lines().len(), 2);
        let whole = Source {
            path: "core/src/x/tests.rs".into(),
            ..source
        };
        assert!(whole.is_test());
        assert_eq!(whole.test_lines().len(), 5);
    }
}
