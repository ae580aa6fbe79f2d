//! Names and paths inside a volume. Whoever opens them refuses to leave the volume anyway; that
//! they are plain here keeps every text that could be read in two ways out of the mounts, and is
//! told to the operator before anything starts. Nothing is ever cleaned: it is right or refused.

use thiserror::Error;

/// Longer than any path that people write, and short enough for every file system.
const MAX_PATH: usize = 1024;
/// The longest name that file systems take.
const MAX_NAME: usize = 255;
/// The longest name of a claim's directory: Berth adds endings to it.
const MAX_DIR: usize = 200;

/// Why a text is no path or name inside a volume.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// Nothing was given.
    #[error("the path is empty; give a directory of the volume, such as data")]
    Empty,
    /// It would not begin at the volume's root.
    #[error("'{text}' is absolute; give a path relative to the volume's root")]
    Absolute {
        /// The refused text.
        text: String,
    },
    /// It is not the shortest way, or leads out.
    #[error("'{text}' contains '..', '.', '//' or a '/' at its end; give the path without them")]
    NotPlain {
        /// The refused text.
        text: String,
    },
    /// A character that looks like another, or does something.
    #[error(
        "'{}' contains a character that is not allowed; use printable ASCII without '\\'",
        text.escape_debug()
    )]
    Character {
        /// The refused text.
        text: String,
    },
    /// Longer than file systems take.
    #[error(
        "the path has {bytes} bytes; give at most {MAX_PATH}, and at most {MAX_NAME} per directory"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not the name of one directory.
    #[error(
        "'{}' is not the name of a directory; use at most {MAX_DIR} of a-z, A-Z, 0-9, '-', '_', \
         '.', and begin with a letter or digit",
        text.escape_debug()
    )]
    Name {
        /// The refused text.
        text: String,
    },
}

/// Checks a path inside a volume, as `subPath` has it: relative, plain, and of characters that
/// mean only themselves.
///
/// # Errors
/// The rule that the path breaks.
pub fn check_sub_path(path: &str) -> Result<(), PathError> {
    let text = || path.to_owned();
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_PATH || path.split('/').any(|name| name.len() > MAX_NAME) {
        return Err(PathError::TooLong { bytes: path.len() });
    }
    if path
        .bytes()
        .any(|b| !(b' '..=b'~').contains(&b) || b == b'\\')
    {
        return Err(PathError::Character { text: text() });
    }
    if path.starts_with('/') {
        return Err(PathError::Absolute { text: text() });
    }
    if path.split('/').any(|name| ["", ".", ".."].contains(&name)) {
        return Err(PathError::NotPlain { text: text() });
    }
    Ok(())
}

/// Checks the name of a claim's directory: one name, which is none of Berth's own.
///
/// # Errors
/// If it is not one.
pub fn check_dir_name(name: &str) -> Result<(), PathError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let plain = (1..=MAX_DIR).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(inner);
    if plain {
        Ok(())
    } else {
        Err(PathError::Name {
            text: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_a_volume_is_relative_and_plain() {
        for path in ["data", "a/b/c", "..a/b..", "a b", "...", "-x", "$(A)"] {
            assert_eq!(check_sub_path(path), Ok(()), "{path}");
        }
        let text = |path: &str| path.to_owned();
        for path in [
            "..", "a/..", "../a", "a/../b", ".", "./a", "a/.", "a//b", "a/", " /..",
        ] {
            let expected = PathError::NotPlain { text: text(path) };
            assert_eq!(check_sub_path(path), Err(expected), "{path}");
        }
        for path in [
            "a\0",
            "a\nb",
            "\u{2024}\u{2024}",
            "a\u{ff0f}b",
            "a\\b",
            "\u{7f}",
            "é",
        ] {
            let expected = PathError::Character { text: text(path) };
            assert_eq!(check_sub_path(path), Err(expected), "{path:?}");
        }
        assert_eq!(check_sub_path(""), Err(PathError::Empty));
        for path in ["/", "/etc", "//a"] {
            let expected = PathError::Absolute { text: text(path) };
            assert_eq!(check_sub_path(path), Err(expected), "{path}");
        }
        for path in ["x".repeat(4096), "x".repeat(256), "x/".repeat(512) + "x"] {
            let bytes = path.len();
            assert_eq!(check_sub_path(&path), Err(PathError::TooLong { bytes }));
        }
        assert_eq!(check_sub_path(&("x/".repeat(511) + "x")), Ok(()));
    }

    #[test]
    fn a_directory_of_a_claim_is_one_name() {
        for name in ["default_data-web-0", "a", "0", "A.b", "a..b"] {
            assert_eq!(check_dir_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(MAX_DIR + 1);
        for name in [
            "", ".", "..", ".trash", "a/b", "/a", "a b", "a\0", "a\n", "é", "-a", "a,b",
        ] {
            assert!(check_dir_name(name).is_err(), "{name:?}");
        }
        assert!(check_dir_name(&long).is_err());
    }
}
