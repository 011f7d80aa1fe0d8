//! Images of a folder by the names of a model's classes, however they are laid out: for a model that is there already, and
//! folders that were not made for it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::labelling::{FoundTable, groups_of};
use super::names::{Mask, is_document, is_system, mask_of, one_spelling};

use crate::error::{Error, Result};

/// Which class each file of a folder is of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named {
    /// Each file, by its place among the paths given, with the class that a folder above it is called after; `None` for files
    /// that lie in no folder with others: those are there without a label.
    pub files: Vec<(usize, Option<usize>)>,
    /// Folders that no class is called after.
    pub left_out: Vec<Unmatched>,
}

/// A folder that no class is called after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// Its name, with the folders above it.
    pub folder: String,
    /// Files in it.
    pub files: usize,
}

impl Named {
    /// The classes of files at `paths`, below the folder that was given, with `/` on every system.
    ///
    /// The nearest folder above a file that a class is called after is its class: capitals, blanks and signs aside, so that
    /// `covid_19` is `COVID-19`. Where there are no folders, or one alone that is no class, the files have no labels. Files
    /// of the system, documents and masks are not looked at.
    ///
    /// # Errors
    /// [`Error::Dataset`] without a file, or when there are folders and none of them is called after a class.
    pub fn of(paths: &[String], classes: &[String]) -> Result<Self> {
        let visible: Vec<(usize, &str)> =
            paths.iter().map(String::as_str).enumerate().filter(|(_, path)| may_be_image(path, classes)).collect();
        let labels: Vec<Option<usize>> = visible.iter().map(|(_, path)| class_of(path, classes)).collect();
        let mut folders = BTreeMap::<&str, usize>::new();
        for ((_, path), _) in visible.iter().zip(&labels).filter(|(_, label)| label.is_none()) {
            *folders.entry(path.rsplit_once('/').map_or("", |(folder, _)| folder)).or_default() += 1;
        }
        if visible.is_empty() {
            return Err(refuse("there is no image file".into()));
        }
        // One folder with images and nothing else, the folder itself or one in it.
        let labelled = labels.iter().any(Option::is_some);
        if !labelled && folders.len() > 1 {
            let found = folders.into_keys().filter(|folder| !folder.is_empty()).collect::<Vec<_>>().join(", ");
            let wanted = classes.join(", ");
            return Err(refuse(format!(
                "no folder is called after a class of the model; it knows {wanted}; there are: {found}"
            )));
        }
        let kept = |folder: &str, label: Option<usize>| label.is_some() || !labelled || folder.is_empty();
        let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
        let files = visible.iter().zip(&labels).filter(|((_, path), label)| kept(&folder(path), **label));
        let files = files.map(|((i, _), label)| (*i, *label)).collect();
        let left_out = folders.into_iter().filter(|(folder, _)| !kept(folder, None));
        let left_out = left_out.map(|(folder, files)| Unmatched { folder: folder.to_owned(), files }).collect();
        Ok(Self { files, left_out })
    }
}

/// Tables of a page's images, which say who the patients are.
#[cfg(feature = "training")]
#[derive(Debug, Default)]
pub struct NamedTables(Vec<FoundTable>);

#[cfg(feature = "training")]
impl NamedTables {
    /// Whether a file is one of them, by its path.
    pub fn is_one(path: &str) -> bool {
        super::names::is_table(path)
    }

    /// Takes the bytes of the one at `path`.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        self.0.push(FoundTable::new(path, bytes));
    }

    /// The patient, or another group, of images, by their paths.
    pub fn groups(&self, paths: &[String]) -> HashMap<String, String> {
        groups(paths, &self.0)
    }
}

/// The patient, or another group, of images, by their paths.
pub(super) fn groups(paths: &[String], tables: &[FoundTable]) -> HashMap<String, String> {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    groups_of(&paths, tables).rows.into_iter().filter_map(|(path, (group, _))| Some((path, group?))).collect()
}

/// The class that the nearest folder above a file is called after: capitals, blanks and signs aside.
pub fn class_of(path: &str, classes: &[String]) -> Option<usize> {
    let mut above = path.split('/').rev().skip(1);
    above.find_map(|folder| classes.iter().position(|class| plain(class) == plain(folder)))
}

/// Letters and digits alone, small.
fn plain(name: &str) -> String {
    one_spelling(name).chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a path is that of a file a person put there, as an image and not as a mask of one.
fn may_be_image(path: &str, classes: &[String]) -> bool {
    let is_class = |name: &str| classes.iter().any(|class| plain(class) == plain(name));
    let mut parts = path.split('/').rev();
    let file = parts.next().unwrap_or_default();
    let is_mask = |name: &str| mask_of(name) == Some(Mask::Sure) && !is_class(name);
    !file.is_empty() && !is_document(file) && !path.split('/').any(is_system) && !parts.any(is_mask)
}

fn refuse(reason: String) -> Error {
    Error::Dataset { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Result<Named> {
        let paths: Vec<String> = paths.iter().map(|path| path.to_string()).collect();
        Named::of(&paths, &["COVID-19", "Normal", "Viral Pneumonia"].map(String::from))
    }

    #[test]
    fn classes_are_found_in_any_case_and_order_and_below_other_folders() {
        let found = named(&[
            "manifest.csv",
            "normal/a.png",
            "covid_19/deep/b.png",
            "train/VIRAL PNEUMONIA/c.png",
            ".hidden/d.png",
            "Mass/e.png",
            "Mass/f.png",
            "normal/masks/g.png",
            "loose.png",
        ])
        .unwrap();
        assert_eq!(found.files, [(1, Some(1)), (2, Some(0)), (3, Some(2)), (8, None)]);
        assert_eq!(found.left_out, [Unmatched { folder: "Mass".into(), files: 2 }]);
    }

    #[test]
    fn a_flat_folder_has_no_labels_and_folders_of_other_names_are_an_error() {
        assert_eq!(named(&["a.png", "b.png"]).unwrap().files, [(0, None), (1, None)]);
        assert_eq!(named(&["ward 3/a.png", "ward 3/b.png"]).unwrap().files, [(0, None), (1, None)]);
        let error = named(&["Mass/a.png", "Nodule/b.png"]).unwrap_err().to_string();
        assert!(error.contains("it knows COVID-19, Normal, Viral Pneumonia; there are: Mass, Nodule"), "{error}");
        assert!(named(&["manifest.csv"]).is_err());
    }
}
