//! `manifest.csv`: what the folders cannot say about a film, namely its group and its source.

use std::collections::HashMap;
#[cfg(feature = "cli")]
use std::path::Path;

use crate::error::{Error, Result};

/// Group and source of films by their path below the manifest's folder, with `/` on every system.
#[derive(Debug, Default)]
pub struct Manifest {
    rows: HashMap<String, Row>,
}

/// What is known of one film; an empty cell counts as unknown.
#[derive(Debug, Default, Clone)]
pub struct Row {
    pub group: Option<String>,
    pub source: Option<String>,
}

impl Manifest {
    /// Reads `dir/manifest.csv`; an empty manifest when there is none.
    ///
    /// # Errors
    /// [`Error::Dataset`] when it is no CSV with a header, or has no column `path`; [`Error::Io`].
    #[cfg(feature = "cli")]
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("manifest.csv");
        if !path.is_file() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// Reads the bytes of the file called `name`.
    ///
    /// # Errors
    /// [`Error::Dataset`] when it is no CSV with a header, or has no column `path`.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        let refuse = |reason: String| Error::Dataset { reason: format!("{name}: {reason}") };
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|error| refuse(error.to_string()))?.clone();
        let column = |name: &str| header.iter().position(|title| title.trim_start_matches('\u{feff}') == name);
        let Some(path_column) = column("path") else {
            return Err(refuse("its first line has no column `path`".into()));
        };
        let (group, source) = (column("group"), column("source"));
        let mut rows = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| refuse(error.to_string()))?;
            let cell = |column: Option<usize>| {
                column.and_then(|i| record.get(i)).filter(|cell| !cell.is_empty()).map(String::from)
            };
            if let Some(path) = cell(Some(path_column)) {
                rows.insert(path.replace('\\', "/"), Row { group: cell(group), source: cell(source) });
            }
        }
        Ok(Self { rows })
    }

    /// What is known of the film at `path` below the manifest's folder; nothing when it has no row.
    pub fn row(&self, path: &str) -> Row {
        self.rows.get(path).cloned().unwrap_or_default()
    }
}
