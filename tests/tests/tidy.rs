//! The project's habits as a test. Each failure names the file, the line and what to do.
//!
//! What the compiler and clippy can hold us to is theirs (`Cargo.toml`, `clippy.toml`); here is the
//! rest: where a thing may be named, how long a file may be, what a reader may rely on.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::{collections::BTreeSet, fs, process::Command};

use berth_tests::{
    machine::checkout,
    sources::{self, Source, is_code, names},
};

/// Production lines of a file, comments and blank lines included.
const MAX_LINES: usize = 500;
/// This file, which has to name what it forbids.
const SELF: &str = "tests/tests/tidy.rs";

/// Something that only some places of the programs may name.
struct Home {
    words: &'static [&'static str],
    places: &'static [&'static str],
    why: &'static str,
}

const HOMES: [Home; 6] = [
    Home {
        words: &["redb"],
        places: &["coordinator/src/store/"],
        why: "the store's contract has one implementation",
    },
    Home {
        words: &["nix::", "rustix::", "libc::", "Command::new"],
        places: &[
            "agent/src/host/",
            "agent/src/keeper/",
            // Starts the sibling programs and stops them.
            "cli/src/commands/dev",
            // Tells systemd-resolved.
            "cli/src/commands/dns.rs",
            // The operator's own terminal.
            "cli/src/terminal.rs",
            // The clock of leases.
            "agent/src/clock.rs",
            // This machine's name, which a host that joins has if nobody gives another.
            "agent/src/main.rs",
            // Whose a file or a process at the other end of a socket is.
            "proto/src/transport/",
            "pki/src/private.rs",
            "agent/src/trusted.rs",
            "pki/src/memory.rs",
            // The operators' own fence commands.
            "coordinator/src/fencing/",
            // How full the store's own disk is.
            "coordinator/src/store/room.rs",
        ],
        why: "effects on the machine go through the Host trait",
    },
    Home {
        words: &["unsafe_code", "unsafe fn", "unsafe impl", "unsafe {"],
        places: &["agent/src/host/", "agent/src/keeper/"],
        why: "only the host's system calls need it",
    },
    Home {
        words: &[
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "UnixDatagram",
            "UnixListener",
            "UnixStream",
        ],
        places: &[
            "proto/src/transport/",
            // Metrics, for whoever may read them: loopback unless configured.
            "proto/src/metrics/",
            "agent/src/dns/",
            "agent/src/probe/",
            // The keeper's own socket, and the look whether a declared port is free.
            "agent/src/keeper/",
            "agent/src/host/",
            // Which address of this machine others reach: nothing is sent.
            "agent/src/identity/",
            // The daemons' readiness (sd_notify), and the look whether a DNS address is free.
            "cli/src/commands/dev",
        ],
        why: "connections are opened in one place, where their security is decided",
    },
    Home {
        words: &["anyhow"],
        places: &["agent/src/main.rs", "coordinator/src/main.rs", "cli/src/"],
        why: "modules have error enums that their callers can tell apart",
    },
    Home {
        words: &["println!", "eprintln!", "print!", "eprint!"],
        places: &["cli/src/output/", "proto/build.rs"],
        why: "data goes to stdout and the rest to stderr in one place; daemons log",
    },
];

/// What the pure crate must not name, in tests either: they would differ from run to run.
const IMPURE: [&str; 9] = [
    "async",
    ".await",
    "HashMap",
    "HashSet",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
];

/// What must not be among the dependencies of the pure crate.
const IMPURE_CRATES: [&str; 12] = [
    "anyhow",
    "hickory-proto",
    "hickory-resolver",
    "nix",
    "prost",
    "rand",
    "redb",
    "rustix",
    "socket2",
    "tokio",
    "tonic",
    "tracing",
];

/// Proper names and kinds with which an error message may begin.
const PROPER: [&str; 9] = [
    "AddressPool",
    "ConfigMap",
    "DNS",
    "JSON",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Secret",
    "StatefulSet",
    "YAML",
];

#[test]
fn every_source_file_says_what_it_is_for() {
    report(
        "begin with a `//!` line: what the file is for, and why it is so",
        sources::rust_files()
            .iter()
            .filter(|file| !file.text.starts_with("//! "))
            .map(|file| file.path.clone()),
    );
}

#[test]
fn files_are_short() {
    report(
        &format!("split by purpose: at most {MAX_LINES} lines before the unit tests"),
        sources::rust_files()
            .iter()
            .map(|file| (file, file.production_lines().len()))
            .filter(|(_, lines)| *lines > MAX_LINES)
            .map(|(file, lines)| format!("{}: {lines}", file.path)),
    );
}

#[test]
fn tests_never_sleep() {
    let mut found = Vec::new();
    // Where waiting itself is: between two looks at something that has no event.
    let waits = ["tests/src/wait.rs", "tests/src/pulse.rs"];
    for file in others().filter(|file| !waits.contains(&file.path.as_str())) {
        for line in file.test_lines() {
            if is_code(line) && line.text.contains("sleep(") {
                found.push(format!("{}:{}", file.path, line.number));
            }
        }
    }
    report(
        "wait for a level with berth_tests::wait, or pause tokio's time",
        found,
    );
}

#[test]
fn nothing_is_left_to_do() {
    let markers = ["todo!", "unimplemented!", "FIXME", "XXX"];
    let mut found = Vec::new();
    for file in others() {
        for (i, line) in file.text.lines().enumerate() {
            if markers.iter().any(|marker| line.contains(marker)) {
                found.push(format!("{}:{}", file.path, i + 1));
            }
        }
    }
    report("finish it, or open an issue", found);
}

#[test]
fn things_are_named_only_at_home() {
    let files = sources::rust_files();
    for home in &HOMES {
        let mut found = Vec::new();
        for file in files.iter().filter(|file| file.is_production()) {
            if home.places.iter().any(|place| file.path.starts_with(place)) {
                continue;
            }
            for line in file.production_lines() {
                if is_code(line) && home.words.iter().any(|word| names(line, word)) {
                    found.push(format!(
                        "{}:{}: {}",
                        file.path,
                        line.number,
                        line.text.trim()
                    ));
                }
            }
        }
        report(
            &format!(
                "{:?} belong into {:?}: {}",
                home.words, home.places, home.why
            ),
            found,
        );
    }
}

#[test]
fn every_home_exists() {
    let files = sources::rust_files();
    let exists = |place: &str| files.iter().any(|file| file.path.starts_with(place));
    let homes = HOMES.iter().flat_map(|home| home.places);
    report(
        "the rule in tests/tests/tidy.rs names a place that is gone: correct the rule",
        homes
            .filter(|place| !exists(place))
            .map(|place| (*place).to_owned()),
    );
}

#[test]
fn core_is_pure() {
    let mut found = Vec::new();
    for file in sources::rust_files() {
        if !file.path.starts_with("core/src/") {
            continue;
        }
        for line in file.code() {
            if IMPURE.iter().any(|word| names(line, word)) {
                found.push(format!(
                    "{}:{}: {}",
                    file.path,
                    line.number,
                    line.text.trim()
                ));
            }
        }
    }
    report(
        "core decides: time and randomness are arguments, effects are values",
        found,
    );
}

#[test]
fn core_depends_on_nothing_impure() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "berth-core",
            "-e",
            "normal",
        ])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(checkout())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(crates.contains("serde"), "cargo tree gave no tree: {tree}");
    report(
        "core must not depend on it, directly or not: move what needs it to a driver",
        IMPURE_CRATES
            .iter()
            .filter(|name| crates.contains(*name))
            .map(|name| (*name).to_owned()),
    );
}

#[test]
fn the_map_names_every_folder() {
    let map = read("docs/architecture.md");
    let listed: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("/` |"))
        .map(|(folder, _)| folder)
        .collect();
    let there = sources::folders();
    report(
        "add to the table in docs/architecture.md",
        there
            .iter()
            .filter(|folder| !listed.contains(folder.trim_end_matches('/')))
            .map(|folder| format!("| `{folder}` | what lives there | |")),
    );
    report(
        "docs/architecture.md names a folder that is gone: remove its line",
        listed
            .iter()
            .filter(|folder| !checkout().join(folder).is_dir())
            .map(|folder| format!("| `{folder}/` |")),
    );
}

/// A path on the map may be short: below `core/src/`, or below the folder that its line begins with.
#[test]
fn every_path_on_the_map_exists() {
    let map = read("docs/architecture.md");
    let mut found = Vec::new();
    let mut looked_at = 0;
    for (i, line) in map.lines().enumerate() {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let folder = quoted.first().copied().unwrap_or_default();
        let paths = quoted.iter().filter(|text| is_path(text));
        for path in paths {
            looked_at += 1;
            let homes = ["", "core/src/", folder];
            let there = homes
                .iter()
                .any(|home| checkout().join(home).join(path).exists());
            if !there {
                found.push(format!("docs/architecture.md:{}: {path}", i + 1));
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} paths were recognised");
    report("correct the path", found);
}

/// Whether a text in backticks looks like a path of the project.
fn is_path(text: &str) -> bool {
    let of_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let ends = [".rs", ".md", ".toml", ".proto"];
    let file = ends
        .iter()
        .any(|end| text.strip_suffix(end).is_some_and(|name| !name.is_empty()));
    text.chars().all(of_path) && (text.contains('/') || file)
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut found = Vec::new();
    for page in sources::files() {
        if !page.path.ends_with(".md") {
            continue;
        }
        let folder = checkout().join(&page.path).parent().unwrap().to_owned();
        for (_, rest) in page
            .text
            .match_indices("](")
            .map(|(at, _)| page.text.split_at(at + 2))
        {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://");
            if !elsewhere && !folder.join(target).exists() {
                found.push(format!("{}: {target}", page.path));
            }
        }
    }
    report("correct the link", found);
}

/// Promise I10: a reason that nothing produces explains nothing. That each names what frees it is
/// shown in `cli/src/commands/explain.rs`.
#[test]
fn every_reason_to_wait_is_produced() {
    let home = "core/src/waiting/reason.rs";
    let text = read(home);
    let variants = variants(&text, "pub enum Reason {");
    assert!(variants.len() > 20, "{home}: {variants:?}");
    let files = sources::rust_files();
    let produced = |variant: &str| {
        let name = format!("Reason::{variant}");
        files
            .iter()
            .filter(|file| file.path != home)
            .any(|file| file.code().any(|line| names(line, &name)))
    };
    report(
        "nothing produces this reason: use it or remove it",
        variants
            .iter()
            .filter(|v| !produced(v))
            .map(|v| format!("{home}: Reason::{v}")),
    );
}

/// The ids of the inventory whose tests upstream has.
const SCENARIOS: [(char, &[u32]); 4] = [
    (
        'T',
        &[
            1, 2, 3, 4, 5, 6, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 28, 29, 30,
            31, 32, 33, 34, 40, 41, 42, 44, 45,
        ],
    ),
    ('I', &[1, 2, 4, 6, 7, 8]),
    (
        'U',
        &[
            1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27,
            29,
        ],
    ),
    ('A', &[14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]),
];

#[test]
fn every_scenario_has_a_test_or_says_why_not() {
    let home = "docs/scenarios.md";
    let page = read(home);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let ids = SCENARIOS
        .iter()
        .flat_map(|(letter, numbers)| numbers.iter().map(move |n| format!("{letter}-{n:02}")));
    let listed: Vec<&str> = rows.iter().filter_map(|row| row.get(1).copied()).collect();
    assert_eq!(listed, ids.collect::<Vec<_>>(), "{home}: one row per id");
    let texts = sources::rust_files();
    let tests: BTreeSet<&str> = texts
        .iter()
        .filter(|file| file.path != SELF)
        .flat_map(Source::tests)
        .collect();
    let is_script = |name: &str| {
        let path = format!("tests/scripts/{name}.txt");
        checkout().join(path).is_file()
    };
    let mut found = Vec::new();
    for row in &rows {
        let (id, here) = (row[1], row[3]);
        let quoted = here.split('`').skip(1).step_by(2);
        let names: Vec<&str> = quoted.filter(|name| !name.contains('/')).collect();
        let excused = ["does not apply", "as T-16", "only its title"];
        if names.is_empty() && !excused.iter().any(|words| here.contains(words)) {
            found.push(format!("{id} names no test and says no reason"));
        }
        let lost = names
            .iter()
            .filter(|name| !tests.contains(*name) && !is_script(name));
        found.extend(lost.map(|name| format!("{id}: there is no test {name}")));
    }
    report("correct docs/scenarios.md, or bring the test back", found);
}

#[test]
fn error_messages_begin_in_lower_case() {
    let mut found = Vec::new();
    for file in others() {
        for (at, _) in file.text.match_indices("#[error(") {
            let rest = file.text[at + "#[error(".len()..].trim_start();
            let Some(message) = rest.strip_prefix('"') else {
                continue;
            };
            let word: String = message
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            let upper = word.starts_with(|c: char| c.is_ascii_uppercase());
            let repeats = message
                .split('"')
                .next()
                .unwrap_or_default()
                .contains("{source");
            if (upper && !PROPER.contains(&word.as_str())) || repeats {
                let line = file.text[..at].lines().count() + 1;
                found.push(format!("{}:{line}: {word}", file.path));
            }
        }
    }
    report(
        "begin in lower case, because messages are chained; and do not repeat the source",
        found,
    );
}

#[test]
fn no_path_of_one_machine_is_in_the_project() {
    let marks = [concat!("/wo", "rk/"), concat!("/tmp/", "brief")];
    let mut found = Vec::new();
    for file in sources::files() {
        for (i, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}", file.path, i + 1));
            }
        }
    }
    report("use a path that every machine has", found);
}

#[test]
fn the_pages_that_readers_expect_are_there() {
    for page in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/architecture.md",
        "docs/glossary.md",
    ] {
        assert!(read(page).lines().count() > 3, "{page} says nothing");
    }
}

/// All Rust files but this one.
fn others() -> impl Iterator<Item = Source> {
    sources::rust_files()
        .into_iter()
        .filter(|file| file.path != SELF)
}

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The variants of an enum, from its text.
fn variants(text: &str, head: &str) -> Vec<String> {
    body(text, head)
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect())
        .collect()
}

/// What stands between a line that holds `head` and the end of its block.
fn body<'a>(text: &'a str, head: &str) -> &'a str {
    let start = text.find(head).unwrap_or_else(|| panic!("no '{head}'"));
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let indent = &text[line..][..text[line..].len() - text[line..].trim_start().len()];
    let end = text[start..]
        .find(&format!("\n{indent}}}"))
        .expect("the block ends");
    &text[start..start + end]
}

/// Fails with every finding at once, and with what to do about them.
#[track_caller]
fn report(what_to_do: &str, found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{what_to_do}:\n  {}", found.join("\n  "));
}
