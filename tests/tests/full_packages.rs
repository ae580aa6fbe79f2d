//! The .rpm is the .deb for other machines: the same files with the same modes, scripts that do the same. Run by
//! `tests/run --full systemd`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{collections::BTreeMap, fs, process::Command};

use berth_tests::{
    machine::{checkout, run},
    systemd::given,
};

/// Where the same file is in each: distributions differ in where shells look for completions.
const ZSH: [&str; 2] = [
    "/usr/share/zsh/vendor-completions/_berth",
    "/usr/share/zsh/site-functions/_berth",
];
/// What Debian asks of every package.
const OF_DEBIAN: &str = "/usr/share/doc/berth/copyright";

/// Of each file of a package its mode, its owner and its content's digest.
type Files = BTreeMap<String, String>;

fn of_deb() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let unpack = "dpkg-deb -x \"$0\" \"$1\"; cd \"$1\"
        find . -type f -printf '%M %u %g ' -exec sha256sum {} \\;";
    let mut command = Command::new("bash");
    command.args(["-euc", unpack]);
    let listed = run(command.arg(given("BERTH_DEB")).arg(dir.path()));
    let files = listed.lines().map(|line| {
        let (about, path) = line.split_once("  ").unwrap();
        let path = path.trim_start_matches('.').replace(ZSH[0], ZSH[1]);
        (path, about.to_owned())
    });
    files.filter(|(path, _)| path != OF_DEBIAN).collect()
}

fn rpm(words: &[&str]) -> String {
    run(Command::new("rpm")
        .args(["--query", "--package"])
        .args(words)
        .arg(given("BERTH_RPM")))
}

fn of_rpm() -> Files {
    let format =
        "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEDIGESTS}  %{FILENAMES}\n]";
    let listed = rpm(&["--queryformat", format]);
    let files = listed.lines().map(|line| {
        let (about, path) = line.split_once("  ").unwrap();
        (path.to_owned(), about.to_owned())
    });
    files.collect()
}

#[test]
fn both_packages_hold_the_same() {
    let (deb, rpm_files) = (of_deb(), of_rpm());
    assert!(deb.contains_key("/usr/bin/berth-agent"), "{deb:?}");
    assert_eq!(rpm_files, deb);

    // What an operator changed is kept by both.
    let kept = "dpkg-deb --info \"$0\" conffiles";
    let kept = run(Command::new("bash")
        .args(["-euc", kept])
        .arg(given("BERTH_DEB")));
    assert_eq!(rpm(&["--configfiles"]).trim(), kept.trim());
}

#[test]
fn both_packages_do_the_same() {
    let scripts = rpm(&["--scripts"]);
    for (of_deb, of_rpm) in [
        ("postinst", "postinstall"),
        ("prerm", "preuninstall"),
        ("postrm", "postuninstall"),
    ] {
        let mut parts = scripts.split(of_rpm);
        let theirs = parts
            .nth(1)
            .unwrap_or_else(|| panic!("no {of_rpm}: {scripts}"));
        let text = fs::read_to_string(checkout().join("deploy/packages").join(of_deb)).unwrap();
        let commands = text.lines().map(str::trim);
        let commands: Vec<&str> = commands.filter(|line| line.starts_with("system")).collect();
        assert!(of_deb == "postrm" || !commands.is_empty(), "{text}");
        for command in commands {
            assert!(theirs.contains(command), "{of_rpm} lacks '{command}'");
        }
    }
    // Restarts at an upgrade, and no member's end: a removal says 0 here.
    assert!(scripts.contains("if [ \"$1\" = 0 ]"), "{scripts}");
}
