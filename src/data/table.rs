//! Tables as people have them: CSV with commas, semicolons or tabs, in UTF-8 or UTF-16, with columns called anything.

use std::collections::{BTreeSet, HashMap};

use super::names::{one_spelling, split_of, stem};

/// A table with a header, as text.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Titles of the columns.
    pub(super) header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Which column says what; see [`Table::file_column`] and the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelColumn {
    /// A column with the name of the class.
    Named(usize),
    /// A column for each class, with a 1 in that of the row's.
    OneHot(Vec<usize>),
}

/// What a row says a picture shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    /// One class.
    Class(String),
    /// Several, joined by commas.
    Several(String),
    /// The table does not say.
    Unknown,
}

/// Titles of label columns, the surest first, as [`plain`] has them.
const LABEL_TITLES: &[&str] = &[
    "findinglabels",
    "findinglabel",
    "label",
    "labels",
    "class",
    "classname",
    "category",
    "finding",
    "findings",
    "diagnosis",
    "diagnoses",
    "disease",
    "pathology",
    "dx",
    "target",
    "y",
    "classid",
];
const FILE_TITLES: &[&str] = &[
    "path",
    "filepath",
    "filename",
    "file",
    "image",
    "imageindex",
    "imagename",
    "imageid",
    "imagepath",
    "img",
    "id",
    "name",
];
const GROUP_TITLES: &[&str] =
    &["group", "groupid", "patientid", "patient", "patientnumber", "subjectid", "subject", "caseid", "mrn", "personid"];
const SPLIT_TITLES: &[&str] = &["split", "subset", "partition", "set", "datasettype", "usage", "fold"];

/// A title in lower case without anything but letters and digits.
fn plain(title: &str) -> String {
    title.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Table {
    /// The table in a file's bytes; why it is none, in words.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = text_of(bytes)?;
        let first = text.lines().next().unwrap_or_default();
        let count = |delimiter: char| first.matches(delimiter).count();
        let delimiter = [',', ';', '\t'].into_iter().max_by_key(|&d| (count(d), d == ',')).unwrap_or(',');
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter as u8).flexible(true).from_reader(text.as_bytes());
        let cells = |record: &csv::StringRecord| record.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let header = cells(reader.headers().map_err(|error| error.to_string())?);
        if header.iter().all(String::is_empty) {
            return Err("it is empty".into());
        }
        let rows = reader.records().map(|record| record.map(|record| cells(&record)));
        let rows = rows.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { header, rows })
    }

    /// The column with this title, in any case.
    pub(super) fn column(&self, title: &str) -> Option<usize> {
        let same = |exact: bool| {
            self.header.iter().position(|other| if exact { other == title } else { plain(other) == plain(title) })
        };
        same(true).or_else(|| same(false))
    }

    fn titled(&self, titles: &[&str]) -> Option<usize> {
        titles.iter().find_map(|title| self.header.iter().position(|other| plain(other) == *title))
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        self.rows[row].get(column).map_or("", String::as_str)
    }

    fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        (0..self.rows.len()).map(move |row| self.cell(row, column)).filter(|cell| !cell.is_empty())
    }

    /// The column that names most of the files, of which `files` are the names without folders; `None` when none does.
    pub(super) fn file_column(&self, files: &BTreeSet<&str>) -> Option<usize> {
        let stems: BTreeSet<&str> = files.iter().map(|file| stem(file)).collect();
        let names = |column: usize| {
            let found: BTreeSet<&str> = self
                .values(column)
                .map(last_part)
                .filter(|name| files.contains(name) || stems.contains(name))
                .collect();
            found.len()
        };
        let title = |column: usize| FILE_TITLES.iter().rev().position(|title| *title == plain(&self.header[column]));
        let best = (0..self.header.len())
            .map(|column| (names(column), title(column), column))
            .max_by_key(|&(n, title, _)| (n, title));
        best.filter(|&(n, ..)| n > 0).map(|(_, _, column)| column)
    }

    /// The column that is called as labels are; the columns of a class each, where there is none such.
    pub(super) fn label_column(&self, file: usize) -> Option<LabelColumn> {
        let fits = |column: usize| {
            let distinct: BTreeSet<&str> = self.values(column).collect();
            column != file && (1..=200).contains(&distinct.len())
        };
        let called = |title: &str| (0..self.header.len()).find(|&c| plain(&self.header[c]) == title && fits(c));
        if let Some(column) = LABEL_TITLES.iter().find_map(|title| called(title)) {
            return Some(LabelColumn::Named(column));
        }
        let one_hot: Vec<usize> =
            (0..self.header.len()).filter(|&column| column != file && self.is_one_hot(column)).collect();
        if one_hot.len() > 1 {
            return Some(LabelColumn::OneHot(one_hot));
        }
        let likely = |column: usize| {
            ["label", "class", "diagnos", "finding", "patholog"]
                .iter()
                .any(|word| plain(&self.header[column]).contains(word))
        };
        let mut rest = (0..self.header.len()).filter(|&column| fits(column));
        let named = (0..self.header.len()).find(|&column| fits(column) && likely(column) && !self.is_one_hot(column));
        // A table of two columns has no other one for labels.
        let only = rest.next().filter(|_| self.header.len() == 2);
        named.or(only).map(LabelColumn::Named)
    }

    /// The place of a label column's title among those that labels have; the smaller the surer.
    pub(super) fn rank(&self, label: &LabelColumn) -> usize {
        match label {
            LabelColumn::Named(column) => {
                let title = plain(&self.header[*column]);
                LABEL_TITLES.iter().position(|known| *known == title).unwrap_or(LABEL_TITLES.len())
            }
            LabelColumn::OneHot(_) => LABEL_TITLES.len() + 1,
        }
    }

    fn is_one_hot(&self, column: usize) -> bool {
        let values: BTreeSet<&str> = self.values(column).collect();
        let flag = |value: &&str| ["0", "1", "-1", "0.0", "1.0", "-1.0"].contains(value);
        !values.is_empty() && values.iter().all(flag)
    }

    /// The column of patients, or other groups.
    pub(super) fn group_column(&self) -> Option<usize> {
        self.titled(GROUP_TITLES)
    }

    /// The column called `source`.
    pub(super) fn source_column(&self) -> Option<usize> {
        self.titled(&["source"])
    }

    /// The column that names splits and nothing else.
    pub(super) fn split_column(&self) -> Option<usize> {
        self.titled(SPLIT_TITLES).filter(|&column| self.values(column).all(|value| split_of(value).is_some()))
    }

    /// What `rows` together say in `column`; empty where nothing, or not the same.
    pub(super) fn agreed(&self, rows: &[usize], column: Option<usize>) -> Option<&str> {
        let column = column?;
        let mut cells = rows.iter().map(|&row| self.cell(row, column));
        let first = cells.next()?;
        (!first.is_empty() && cells.all(|cell| cell == first)).then_some(first)
    }

    /// The label that `rows`, which are of one file, give it.
    pub(super) fn label(&self, rows: &[usize], column: &LabelColumn) -> Label {
        let labels: BTreeSet<String> = match column {
            LabelColumn::Named(column) => {
                let split =
                    |row: &usize| self.cell(*row, *column).split(['|', ';']).map(one_spelling).collect::<Vec<_>>();
                rows.iter().flat_map(split).filter(|label| !label.is_empty()).collect()
            }
            LabelColumn::OneHot(columns) => {
                let has = |row: usize, column: usize| ["1", "1.0"].contains(&self.cell(row, column));
                let of = |&row: &usize| columns.iter().filter(move |&&column| has(row, column));
                rows.iter().flat_map(of).map(|&column| one_spelling(&self.header[column])).collect()
            }
        };
        let mut all = labels.into_iter();
        match (all.next(), all.next()) {
            (None, _) => Label::Unknown,
            (Some(class), None) => Label::Class(class),
            (Some(one), Some(other)) => Label::Several([vec![one, other], all.collect()].concat().join(", ")),
        }
    }

    /// The rows by what they call their files.
    pub(super) fn by_file(&self, column: usize) -> ByFile {
        let mut rows = HashMap::<String, Vec<(Vec<String>, usize)>>::new();
        for row in 0..self.rows.len() {
            let parts = parts_of(self.cell(row, column));
            if let Some(last) = parts.last().cloned() {
                rows.entry(last).or_default().push((parts, row));
            }
        }
        ByFile { rows }
    }

    /// The first file that it names, for messages.
    pub(super) fn example(&self, column: usize) -> &str {
        self.values(column).next().unwrap_or_default()
    }

    /// The titles as a list in words.
    pub(super) fn titles(&self) -> String {
        self.header.join(", ")
    }
}

/// Rows of a table by the last part of the path that they have.
#[derive(Debug)]
pub(super) struct ByFile {
    rows: HashMap<String, Vec<(Vec<String>, usize)>>,
}

impl ByFile {
    /// The rows of the image at `path`, below the folder of the table: those that have the most folders in common with it,
    /// counted from the file. `alone` says that no other image has its file name. Nothing where two rows would do equally
    /// well and are of different files, or where one would do for several images.
    pub(super) fn rows(&self, path: &str, alone: bool) -> Vec<usize> {
        let parts = parts_of(path);
        let Some(file) = parts.last() else { return Vec::new() };
        let Some(rows) = self.rows.get(file).or_else(|| self.rows.get(stem(file))) else { return Vec::new() };
        // The file itself has the same name, but perhaps for its ending.
        let common =
            |row: &[String]| 1 + row.iter().rev().zip(parts.iter().rev()).skip(1).take_while(|(a, b)| a == b).count();
        let most = rows.iter().map(|(row, _)| common(row)).max().unwrap_or(0);
        let best: Vec<&(Vec<String>, usize)> = rows.iter().filter(|(row, _)| common(row) == most).collect();
        let same = best.iter().all(|(row, _)| row == &best[0].0);
        let whole = most == parts.len() || (most == best[0].0.len() && (most > 1 || alone));
        if same && whole { best.iter().map(|(_, row)| *row).collect() } else { Vec::new() }
    }
}

/// The parts of a path, as Windows or others write it, without what stands for the folder itself.
fn parts_of(path: &str) -> Vec<String> {
    path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").map(one_spelling).collect()
}

fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The text of a file, from UTF-16 too, as spreadsheets write it.
fn text_of(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Ok(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Ok(utf16(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(String::from_utf8_lossy(rest).into_owned()),
        [b'P', b'K', 3, 4, ..] => Err("it is a spreadsheet or a zip, not text; save it as CSV".into()),
        _ if bytes.contains(&0) => Err("it is not text; save it as CSV".into()),
        _ => Ok(String::from_utf8_lossy(bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn semicolons_tabs_and_utf16_are_read() {
        let utf16: Vec<u8> = "\u{feff}path,group\r\na.png,p1\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [
            b"path;group\r\na.png;p1\r\n".to_vec(),
            b"path\tgroup\na.png\tp1".to_vec(),
            utf16,
            b"\xef\xbb\xbfpath,group\na.png,p1".to_vec(),
        ] {
            let table = Table::parse(&bytes).unwrap();
            assert_eq!(table.header, ["path", "group"]);
            let rows = table.by_file(0).rows("a.png", true);
            assert_eq!(table.agreed(&rows, table.group_column()), Some("p1"));
        }
        assert!(Table::parse(b"PK\x03\x04....").unwrap_err().contains("save it as CSV"));
    }

    #[test]
    fn columns_of_public_sets_are_guessed() {
        let files = BTreeSet::from(["00003001_000.png", "00003002_000.png"]);
        let nih = table(
            "Image Index,Finding Labels,Follow-up #,Patient ID\n00003001_000.png,Mass|Nodule,0,3001\n00003002_000.png,No Finding,0,3002\n",
        );
        assert_eq!(
            (nih.file_column(&files), nih.label_column(0), nih.group_column()),
            (Some(0), Some(LabelColumn::Named(1)), Some(3))
        );
        assert_eq!(nih.label(&[0], &LabelColumn::Named(1)), Label::Several("Mass, Nodule".into()));
        assert_eq!(nih.label(&[1], &LabelColumn::Named(1)), Label::Class("No Finding".into()));
        let chexpert = table(
            "Path,Sex,Age,No Finding,Pneumonia\nC/train/p1/s1/00003001_000.png,Male,50,1,\nC/train/p2/s1/00003002_000.png,Male,50,,1.0\n",
        );
        let columns = LabelColumn::OneHot(vec![3, 4]);
        assert_eq!((chexpert.file_column(&files), chexpert.label_column(0)), (Some(0), Some(columns.clone())));
        assert_eq!(chexpert.label(&[1], &columns), Label::Class("Pneumonia".into()));
        let rsna =
            table("patientId,class\n00003001_000,Normal\n00003002_000,Lung Opacity\n00003002_000,Lung Opacity\n");
        assert_eq!((rsna.file_column(&files), rsna.label_column(0)), (Some(0), Some(LabelColumn::Named(1))));
        assert_eq!(rsna.by_file(0).rows("images/00003002_000.png", true), [1, 2]);
    }

    #[test]
    fn paths_match_from_their_end_and_never_two_images() {
        let rows = table("path\n.\\train\\a\\1.png\nC:\\set\\test\\a\\1.png\n2.png\n").by_file(0);
        assert_eq!(rows.rows("train/a/1.png", false), [0]);
        assert_eq!(rows.rows("test/a/1.png", false), [1]);
        assert_eq!(rows.rows("x/2.png", true), [2]);
        assert!(rows.rows("x/2.png", false).is_empty());
        // Either row may be meant.
        assert!(rows.rows("a/1.png", false).is_empty());
    }
}
