//! What the machine itself takes for the things that Berth cannot avoid.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Instant,
};

use super::samples::Samples;

/// Appends of 4 KiB, each durable: the least that a durable change costs.
///
/// # Errors
/// If the folder cannot be written.
pub fn durable_appends(folder: &Path, count: usize) -> io::Result<Samples> {
    let mut file = tempfile::tempfile_in(folder)?;
    let page = [7; 4096];
    (0..count)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&page)?;
            file.sync_data()?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Starts of a program that ends at once, one after another: spawn, exec, exit, wait.
///
/// # Errors
/// If it cannot be started.
pub fn spawns(program: &Path, argument: &str, count: usize) -> io::Result<Samples> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            Command::new(program).arg(argument).status()?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Spawns, each followed by a durable append: the least that a decided start costs.
///
/// # Errors
/// If the folder cannot be written or the program not be started.
pub fn durable_spawns(
    folder: &Path,
    program: &Path,
    argument: &str,
    count: usize,
) -> io::Result<Samples> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    (0..count)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            Command::new(program).arg(argument).status()?;
            Ok(start.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_measured_as_often_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new("/bin/true");
        assert_eq!(durable_appends(folder.path(), 3).unwrap().count(), 3);
        assert_eq!(spawns(program, "", 3).unwrap().count(), 3);
        let both = durable_spawns(folder.path(), program, "", 3).unwrap();
        assert_eq!(both.count(), 3);
    }
}
