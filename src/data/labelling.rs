//! Tables beside images: who the patients are, and what the images show where folders do not say it.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use super::names::split_of;
use super::table::{ByFile, Label, LabelColumn, Table};
use crate::error::{Error, Result};

/// A table that lies with the images.
#[derive(Debug, Clone)]
pub(super) struct FoundTable {
    /// Where it lies, for messages.
    pub(super) path: String,
    /// The folder that it lies in, of the same paths as the images: empty, or ending in `/`.
    folder: String,
    /// What stands before the paths of images where it lies above them: empty, or ending in `/`.
    above: String,
    /// It, or why it is none.
    pub(super) table: Result<Table, String>,
}

/// Which table says the labels, and in which columns: what is not given is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LabelColumns {
    /// Path of the table.
    pub table: Option<String>,
    /// Title of the column that names the files.
    pub file: Option<String>,
    /// Title of the column that names the class; or titles, with commas between them, of columns that have a 1 for it.
    pub label: Option<String>,
}

impl LabelColumns {
    /// Whether labels are to come from a table, whatever the folders are.
    pub fn are_given(&self) -> bool {
        self.table.is_some() || self.file.is_some() || self.label.is_some()
    }
}

impl FoundTable {
    /// The one in a file among the images.
    pub(super) fn new(path: &str, bytes: &[u8]) -> Self {
        let folder = path.rfind('/').map_or("", |end| &path[..=end]).to_owned();
        Self { path: path.to_owned(), folder, above: String::new(), table: Table::parse(bytes) }
    }

    /// The one in a file elsewhere, where images have `above` before their paths.
    #[cfg(feature = "cli")]
    pub(super) fn elsewhere(path: &str, above: &str, bytes: &[u8]) -> Self {
        Self { folder: String::new(), above: above.to_owned(), ..Self::new(path, bytes) }
    }

    /// An image's path as the table may have it.
    fn relative(&self, image: &str) -> String {
        format!("{}{}", self.above, image.strip_prefix(&self.folder).unwrap_or(image))
    }

    /// Whether somebody may mean it by `name`: its path, or its name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.path == name || self.name() == name
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// How often each file name is there: what is there twice cannot be known by it.
struct FileNames<'a>(HashMap<&'a str, usize>);

impl<'a> FileNames<'a> {
    fn of(images: &[&'a str]) -> Self {
        let mut names = HashMap::new();
        images.iter().for_each(|image| *names.entry(file_name(image)).or_default() += 1);
        Self(names)
    }

    fn all(&self) -> BTreeSet<&'a str> {
        self.0.keys().copied().collect()
    }

    fn rows(&self, found: &FoundTable, by_file: &ByFile, image: &str) -> Vec<usize> {
        by_file.rows(&found.relative(image), self.0.get(file_name(image)) == Some(&1))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Group and source of images.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) rows: Rows,
    /// What there is to say.
    pub(super) said: Vec<String>,
    /// Path of the table that they are from.
    pub(super) used: Option<String>,
}

/// What a `manifest.csv` among `tables` says of the patients in `images`.
pub(super) fn groups_of(images: &[&str], tables: &[FoundTable]) -> Groups {
    let names = FileNames::of(images);
    let mut groups = Groups::default();
    for found in tables.iter().filter(|found| found.name().eq_ignore_ascii_case("manifest.csv")) {
        match manifest(images, &names, found) {
            Ok((rows, said)) => {
                return Groups { rows, said: vec![said], used: Some(found.path.clone()) };
            }
            Err(why) => {
                let path = &found.path;
                groups.said.push(format!("{path} is not used, so patients are not known: {why}"));
            }
        }
    }
    groups
}

/// Paths of images, with group and source.
type Rows = Vec<(String, (Option<String>, Option<String>))>;

fn manifest(images: &[&str], names: &FileNames, found: &FoundTable) -> Result<(Rows, String), String> {
    let table = found.table.as_ref().map_err(String::clone)?;
    let titles = table.titles();
    let file = table.column("path").or_else(|| table.file_column(&names.all()));
    let file = file.ok_or_else(|| format!("no column names the images here; it has {titles}"))?;
    let (group, source) = (table.group_column(), table.source_column());
    if group.or(source).is_none() {
        return Err(format!("it has no column of patients, called `group` or `patient id`; it has {titles}"));
    }
    let by_file = table.by_file(file);
    let text = |cell: Option<&str>| cell.map(str::to_owned);
    let row = |image: &&str| {
        let rows = names.rows(found, &by_file, image);
        let of = (text(table.agreed(&rows, group)), text(table.agreed(&rows, source)));
        (!rows.is_empty()).then(|| ((*image).to_owned(), of))
    };
    let rows: Rows = images.iter().filter_map(row).collect();
    if rows.is_empty() {
        let (its, here) = (table.example(file), images.first().map_or("", |image| image));
        return Err(format!("none of its paths, such as {its}, is that of an image here, such as {here}"));
    }
    let title = &table.header[group.or(source).unwrap_or(file)];
    let (path, n, all) = (&found.path, rows.len(), images.len());
    let what = if group.is_some() { "patients" } else { "sources" };
    Ok((rows, format!("{what} are known from the column `{title}` of {path} for {n} of {all} images")))
}

/// What a table says of one image.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) class: String,
    pub(super) group: Option<String>,
    pub(super) source: Option<String>,
    /// Index into [`SPLITS`](super::names::SPLITS).
    pub(super) split: Option<usize>,
}

/// What tables say of all images.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    pub(super) rows: Vec<(String, Row)>,
    /// Images with several labels.
    pub(super) several: Vec<String>,
    /// Images without one.
    pub(super) unknown: Vec<String>,
    /// Which columns were taken.
    pub(super) said: Vec<String>,
}

impl Labelled {
    /// Number of classes.
    pub(super) fn classes(&self) -> usize {
        self.rows.iter().map(|(_, row)| &row.class).collect::<BTreeSet<_>>().len()
    }
}

/// The labels that one of `tables`, or several of the same columns, give to `images`; `None` when none gives any.
///
/// # Errors
/// [`Error::Dataset`] for a table or a column that is asked for and not there.
pub(super) fn labels_of(images: &[&str], tables: &[FoundTable], columns: &LabelColumns) -> Result<Option<Labelled>> {
    let names = FileNames::of(images);
    let mut best: Option<(usize, &FoundTable, Chosen)> = None;
    let same = |found: &&FoundTable| columns.table.as_ref().is_none_or(|name| found.is_called(name));
    for found in tables.iter().filter(same) {
        let table = match (&found.table, columns.are_given()) {
            (Ok(table), _) => table,
            (Err(why), true) => return Err(refuse(format!("{} is not read: {why}", found.path))),
            (Err(_), false) => continue,
        };
        let Some(chosen) = Chosen::of(table, &names, columns, &found.path)? else { continue };
        let by_file = table.by_file(chosen.file);
        let labelled = |image: &&&str| {
            let rows = names.rows(found, &by_file, image);
            table.label(&rows, &chosen.label) != Label::Unknown
        };
        let count = images.iter().filter(labelled).count();
        if best.as_ref().is_none_or(|(most, _, other)| (count, other.rank) > (*most, chosen.rank)) && count > 0 {
            best = Some((count, found, chosen));
        }
    }
    let Some((_, first, chosen)) = best else {
        if columns.are_given() {
            let there: Vec<&str> = tables.iter().map(|found| found.path.as_str()).collect();
            let wanted = columns.table.as_deref().unwrap_or("these columns");
            return Err(refuse(format!(
                "no table gives the images labels by {wanted}; tables here: {}",
                if there.is_empty() { "none".into() } else { there.join(", ") }
            )));
        }
        return Ok(None);
    };
    // One for each split, as CheXpert has them.
    let header = |found: &FoundTable| found.table.as_ref().map(|table| table.header.clone()).unwrap_or_default();
    let alike: Vec<(&FoundTable, &Table)> = std::iter::once(first)
        .chain(tables.iter().filter(same).filter(|found| found.path != first.path && header(found) == header(first)))
        .filter_map(|found| Some((found, found.table.as_ref().ok()?)))
        .collect();
    Ok(Some(read(images, &names, &alike, &chosen)))
}

fn read(images: &[&str], names: &FileNames, tables: &[(&FoundTable, &Table)], chosen: &Chosen) -> Labelled {
    let by_file: Vec<ByFile> = tables.iter().map(|(_, table)| table.by_file(chosen.file)).collect();
    let mut labelled = Labelled::default();
    for image in images {
        let rows = tables.iter().zip(&by_file).map(|((found, table), by)| (*table, names.rows(found, by, image)));
        let Some((table, rows)) = rows.into_iter().find(|(_, rows)| !rows.is_empty()) else {
            labelled.unknown.push((*image).to_owned());
            continue;
        };
        let cell = |column| table.agreed(&rows, column).map(str::to_owned);
        match table.label(&rows, &chosen.label) {
            Label::Unknown => labelled.unknown.push((*image).to_owned()),
            Label::Several(_) => labelled.several.push((*image).to_owned()),
            Label::Class(class) => {
                let split = cell(table.split_column()).and_then(|name| split_of(&name));
                // A column of files can be one of patients, each with one file.
                let group = cell(table.group_column());
                labelled
                    .rows
                    .push(((*image).to_owned(), Row { class, group, source: cell(table.source_column()), split }));
            }
        }
    }
    let Some((_, table)) = tables.first() else { return labelled };
    let title = |column: usize| format!("`{}`", table.header[column]);
    let paths: Vec<&str> = tables.iter().map(|(found, _)| found.path.as_str()).collect();
    let label = match &chosen.label {
        LabelColumn::Named(column) => format!("column {}", title(*column)),
        LabelColumn::OneHot(columns) => {
            format!("the columns {}", columns.iter().map(|&column| title(column)).collect::<Vec<_>>().join(", "))
        }
    };
    labelled.said.push(format!(
        "labels are from {}: {label}, files in column {}; {} of {} images have one label",
        paths.join(" and "),
        title(chosen.file),
        labelled.rows.len(),
        images.len()
    ));
    for (what, column) in [("patients", table.group_column()), ("splits", table.split_column())] {
        labelled.said.extend(column.map(|column| format!("{what} are from column {}", title(column))));
    }
    labelled
}

/// The columns that are taken.
struct Chosen {
    file: usize,
    label: LabelColumn,
    /// How far down the list of titles for labels its own is: text rather than numbers.
    rank: usize,
}

impl Chosen {
    fn of(table: &Table, names: &FileNames, columns: &LabelColumns, path: &str) -> Result<Option<Self>> {
        let missing = |title: &str| refuse(format!("{path} has no column `{title}`; it has {}", table.titles()));
        let file = match &columns.file {
            Some(title) => Some(table.column(title).ok_or_else(|| missing(title))?),
            None => table.file_column(&names.all()),
        };
        let Some(file) = file else { return Ok(None) };
        let label = match &columns.label {
            Some(titles) => Some(match table.column(titles) {
                Some(column) => LabelColumn::Named(column),
                None => {
                    let columns =
                        titles.split(',').map(str::trim).map(|title| table.column(title).ok_or_else(|| missing(title)));
                    LabelColumn::OneHot(columns.collect::<Result<_>>()?)
                }
            }),
            None => table.label_column(file),
        };
        Ok(label.map(|label| Self { file, rank: table.rank(&label), label }))
    }
}

fn refuse(reason: String) -> Error {
    Error::Dataset { reason }
}
