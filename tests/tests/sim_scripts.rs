//! Golden histories of the simulated cluster: every script in `scripts/` has its transcript in
//! `expected/`, and no transcript is without a script. `BERTH_BLESS=1` writes them anew.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot read its files has failed"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use berth_core::sim::script::play;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names, without their ending, of the files in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is in the repository");
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_script_gives_its_transcript() {
    let (scripts, expected) = (folder("scripts"), folder("expected"));
    let bless = std::env::var_os("BERTH_BLESS").is_some();
    let mut different = Vec::new();
    for name in names(&scripts) {
        let script = fs::read_to_string(scripts.join(format!("{name}.txt"))).unwrap();
        let transcript = play(&script).unwrap_or_else(|error| panic!("{name}: {error}"));
        let golden = expected.join(format!("{name}.txt"));
        if bless {
            fs::write(&golden, &transcript).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        if transcript != wanted {
            different.push(format!("--- {name}, as it is now:\n{transcript}"));
        }
    }
    assert!(
        different.is_empty(),
        "{}\nif this is intended: BERTH_BLESS=1 cargo test --test sim_scripts",
        different.join("\n")
    );
}

#[test]
fn scripts_and_transcripts_are_pairs() {
    assert_eq!(names(&folder("scripts")), names(&folder("expected")));
}

#[test]
fn a_line_that_is_no_command_is_named() {
    let error = play("hosts 1\nfrobnicate").unwrap_err().to_string();
    assert!(error.starts_with("line 2: 'frobnicate'"), "{error}");
}
