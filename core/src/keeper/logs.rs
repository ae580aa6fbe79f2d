//! Which log file is renamed to what. `<process>.log` is the current run, `<process>.previous.log`
//! the one before, `.1`, `.2`, ... behind either are older parts of it, cut by size.

use crate::ids::ProcessName;

/// When a log file is cut, and how many parts of a run are kept beside the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// A part that has reached this many bytes is cut.
    pub part_bytes: u64,
    /// How many older parts are kept.
    pub parts: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            part_bytes: 10 << 20,
            parts: 4,
        }
    }
}

/// A rename of one log file over another, or, without a target, its removal. A source that does not
/// exist is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMove {
    /// The file's name in the log directory.
    pub from: String,
    /// Its new name.
    pub to: Option<String>,
}

/// The name of a log file: part 0 is the newest.
pub fn log_name(process: &ProcessName, previous: bool, part: u32) -> String {
    let run = if previous { ".previous" } else { "" };
    if part == 0 {
        format!("{process}{run}.log")
    } else {
        format!("{process}{run}.log.{part}")
    }
}

impl LogLimits {
    /// Whether a part of this size is to be cut before more is written.
    pub fn full(self, bytes: u64) -> bool {
        bytes >= self.part_bytes
    }

    /// What to do, in this order, before a new current part is made.
    pub fn cut(self, process: &ProcessName) -> Vec<LogMove> {
        (0..=self.parts)
            .rev()
            .map(|part| LogMove {
                from: log_name(process, false, part),
                to: (part < self.parts).then(|| log_name(process, false, part + 1)),
            })
            .collect()
    }

    /// What to do, in this order, before a new run of the process: its log becomes the previous
    /// one, and the previous one goes.
    pub fn new_run(self, process: &ProcessName) -> Vec<LogMove> {
        let parts = 0..=self.parts;
        let remove = parts.clone().map(|part| LogMove {
            from: log_name(process, true, part),
            to: None,
        });
        let rename = parts.map(|part| LogMove {
            from: log_name(process, false, part),
            to: Some(log_name(process, true, part)),
        });
        remove.chain(rename).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Files by name, with their content.
    type Files = BTreeMap<String, u32>;

    fn apply(files: &mut Files, moves: &[LogMove]) {
        for LogMove { from, to } in moves {
            if let Some(content) = files.remove(from)
                && let Some(to) = to
            {
                assert!(files.insert(to.clone(), content).is_none(), "{to} is lost");
            }
        }
    }

    #[test]
    fn cutting_keeps_the_newest_parts_in_order() {
        let (process, limits) = (
            "db".parse().unwrap(),
            LogLimits {
                part_bytes: 1,
                parts: 2,
            },
        );
        let mut files = Files::new();
        for content in 1..=5 {
            apply(&mut files, &limits.cut(&process));
            files.insert(log_name(&process, false, 0), content);
        }
        let expected = [("db.log", 5), ("db.log.1", 4), ("db.log.2", 3)];
        assert_eq!(files, expected.map(|(n, c)| (n.to_owned(), c)).into());
    }

    #[test]
    fn a_new_run_keeps_the_previous_one_whole_and_drops_the_one_before() {
        let (process, limits) = (
            "db".parse().unwrap(),
            LogLimits {
                part_bytes: 1,
                parts: 1,
            },
        );
        let mut files: Files = [("db.log", 1), ("db.log.1", 2), ("db.previous.log.1", 3)]
            .map(|(n, c)| (n.to_owned(), c))
            .into();
        apply(&mut files, &limits.new_run(&process));
        let expected = [("db.previous.log", 1), ("db.previous.log.1", 2)];
        assert_eq!(files, expected.map(|(n, c)| (n.to_owned(), c)).into());
    }
}
