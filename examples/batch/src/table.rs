//! Two columns of text.

use std::fmt;

/// Rows of a name and a value. Displayed with the values in line.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.rows.push((name.into(), value.to_string()));
    }

    /// Adds a row, unless there is nothing to tell.
    pub fn row_unless_zero(&mut self, name: impl Into<String>, value: u64) {
        if value > 0 {
            self.row(name, value);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |column: fn(&(String, String)) -> &String| {
            self.rows
                .iter()
                .map(|row| column(row).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (names, values) = (widest(|row| &row.0), widest(|row| &row.1));
        let rule = format!("+{}+{}+", "-".repeat(names + 2), "-".repeat(values + 2));
        writeln!(f, "{rule}")?;
        for (name, value) in &self.rows {
            writeln!(f, "| {name:<names$} | {value:<values$} |")?;
        }
        write!(f, "{rule}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::default();
        table.row("calls", 240);
        table.row_unless_zero("nothing", 0);
        table.row("cost", "0.1 USD");
        assert_eq!(
            table.to_string(),
            "+-------+---------+\n\
             | calls | 240     |\n\
             | cost  | 0.1 USD |\n\
             +-------+---------+"
        );
    }
}
