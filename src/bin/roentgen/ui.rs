//! What the subcommands share in talking to people: lines, tables, progress bars.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use roentgen::error::{Error, Result};
use serde::Serialize;

/// Writes a line to standard output.
///
/// A reader that has gone away, as in `roentgen … | head -1`, ends the program without a word: it has what it wanted.
///
/// # Errors
/// [`Error::Io`] when the output cannot be written for another reason, a full disk for instance.
pub fn say(text: impl Display) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(source) => Err(Error::Io { path: "standard output".into(), source }),
        Ok(()) => Ok(()),
    }
}

/// Reports in words; and as JSON too where `json` names a file, or instead where it is `-`.
///
/// # Errors
/// [`Error::Io`] when the file or the output cannot be written.
pub fn report<T: Serialize>(report: &T, json: Option<&Path>, describe: impl Fn(&T) -> String) -> Result<()> {
    let text = || serde_json::to_string_pretty(report).expect("a report has string keys and no fallible values");
    match json {
        Some(path) if path.as_os_str() == "-" => say(text()),
        Some(path) => {
            say(describe(report))?;
            std::fs::write(path, format!("{}\n", text())).map_err(|source| Error::Io { path: path.to_owned(), source })
        }
        None => say(describe(report)),
    }
}

/// Writes `text` to standard error as one line, whatever line breaks a library put into its message.
pub fn complain(text: &str) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A bar on standard error over `total` steps; not shown when that is no terminal.
pub fn progress(total: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar:.cyan/blue} {human_pos}/{human_len} {eta:>4}")
        .expect("the template is fixed")
        .progress_chars("━╸─");
    ProgressBar::new(total as u64).with_style(style).with_message(what)
}

/// Rows with their columns lined up, two blanks between: the first to the left, the others to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `0.9378` as `93.8 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// A 95 % interval as `92.4–95.0 %`.
pub fn interval([low, high]: [f64; 2]) -> String {
    format!("{:.1}–{:.1} %", 100.0 * low, 100.0 * high)
}

/// `27613122` as `27,613,122`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 27_613_122].map(thousands), ["0", "999", "1,000", "27,613,122"]);
        assert_eq!(percent(0.9378), "93.8 %");
        assert_eq!(interval([0.0, 0.16112]), "0.0–16.1 %");
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let text = table(&[row(&["Lungenentzündung", "7"]), row(&["Normal", "1,470"])]);
        assert_eq!(text, "Lungenentzündung      7\nNormal            1,470");
    }
}
