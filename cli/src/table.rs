//! Rows as aligned lines. Pure.

/// One line for each row, its cells aligned by the widest of each column.
pub(crate) fn lines<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut lines = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        lines.push_str(line.join("   ").trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["NAME", "AGE"], ["ü", "7"], ["longer", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(lines(&rows), "NAME     AGE\nü        7\nlonger\n");
    }
}
