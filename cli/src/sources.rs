//! Reads manifests: files, directories (their `.yaml`, `.yml` and `.json` files, by name), and `-`
//! for standard input.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use berth_proto::v1;

use crate::error::CliError;

/// The largest manifest taken. The coordinator has the same limit; this one keeps a wrong file
/// from being read whole.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads all sources, in the order given.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<v1::Source>, CliError> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = limited(io::stdin().lock(), Path::new("standard input"))?;
            sources.push(v1::Source {
                file: "<stdin>".to_owned(),
                text,
            });
        } else if path.is_dir() {
            for file in manifests_in(path)? {
                sources.push(source(&file)?);
            }
        } else {
            sources.push(source(path)?);
        }
    }
    Ok(sources)
}

fn source(path: &Path) -> Result<v1::Source, CliError> {
    let file = fs::File::open(path).map_err(|source| CliError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(v1::Source {
        file: path.display().to_string(),
        text: limited(file, path)?,
    })
}

fn limited(reader: impl io::Read, path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    reader
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|source| CliError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(CliError::Usage {
            message: format!("{} is larger than 1 MiB", path.display()),
            hint: "split it; a manifest has at most 1 MiB".to_owned(),
        });
    }
    Ok(text)
}

fn manifests_in(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let wrap = |source| CliError::File {
        doing: "read",
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(wrap)? {
        let path = entry.map_err(wrap)?.path();
        let known = path
            .extension()
            .is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json");
        if known && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(CliError::Usage {
            message: format!("{} has no manifest", directory.display()),
            hint: "a directory is searched for .yaml, .yml and .json files".to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_manifests_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.json", "c.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let texts: Vec<String> = read(&[dir.path().to_owned()])
            .unwrap()
            .into_iter()
            .map(|source| source.text)
            .collect();
        assert_eq!(texts, ["a.json", "b.yaml"]);
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.yaml");
        fs::write(&path, vec![b'#'; 1024 * 1024]).unwrap();
        assert!(read(std::slice::from_ref(&path)).is_ok());
        fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(read(&[path]).unwrap_err().to_string().contains("1 MiB"));
    }
}
