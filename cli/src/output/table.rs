//! Aligned columns without borders. They are never wrapped: what a pipe gets is what a terminal
//! gets, and each row stays one line for `grep`.

use comfy_table::{Table as Grid, presets};

/// Rows below a header.
#[derive(Debug)]
pub(crate) struct Table {
    grid: Grid,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.set_header(header.iter().copied());
        for column in grid.column_iter_mut() {
            column.set_padding((0, 3));
        }
        Self { grid }
    }

    /// Adds a row. An empty cell is shown as `-`, so that columns can be counted.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| {
            let line = cell.replace('\n', " ");
            if line.is_empty() {
                "-".to_owned()
            } else {
                line
            }
        });
        self.grid.add_row(cells);
    }

    /// The text, with no blanks at line ends, ending in a line end.
    pub(crate) fn render(&self) -> String {
        self.grid
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stay_on_one_line() {
        let mut table = Table::new(&["NAME", "WHY"]);
        table.row(vec!["etcd-0".to_owned(), "a\nb".to_owned()]);
        table.row(vec!["a-longer-name-1".to_owned(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME              WHY\netcd-0            a b\na-longer-name-1   -\n"
        );
    }
}
