//! What names of files and folders say: a split, masks, a thing of the system, a patient; never what an image shows.

use unicode_normalization::UnicodeNormalization;

/// Splits in the order in which they keep a picture that several of them have: nothing is trained on that is tested.
pub(super) const SPLITS: [&str; 3] = ["test", "val", "train"];

/// Index into [`SPLITS`] of the training images.
pub(super) const TRAIN: usize = 2;

/// The folder of classes that were made by hand, whatever they are called: `by hand/<class>/*`.
pub(super) const BY_HAND: &str = "by hand";

/// The words that a split goes by, in the order of [`SPLITS`].
const SPLIT_WORDS: [&[&str]; 3] = [
    &["test", "tests", "testing", "testset"],
    &["val", "valid", "validation", "validate", "valset", "dev", "development", "devset"],
    &["train", "training", "trainset"],
];

/// Words beside one of those that leave it the name of a split: `training_set`, `test images`.
const FILLERS: &[&str] =
    &["set", "data", "dataset", "split", "images", "image", "imgs", "folder", "stage", "x", "chest"];

/// Words for masks that are sure, when they end a name.
const MASKS: &[&str] = &["mask", "masks"];

/// Words for what somebody drew on images; masks where the files are called as the images beside them are.
const DRAWN: &[&str] = &[
    "mask",
    "masks",
    "lungmask",
    "lungmasks",
    "seg",
    "segs",
    "segmentation",
    "segmentations",
    "annotation",
    "annotations",
    "groundtruth",
    "gt",
    "overlay",
    "overlays",
    "heatmap",
    "heatmaps",
    "label",
    "labels",
    "contour",
    "contours",
];

/// Endings of files that are no image and that lie beside images for another reason.
const DOCUMENTS: &[&str] = &[
    "txt", "md", "rst", "rtf", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "html", "htm", "pdf", "doc",
    "docx", "xls", "xlsx", "odt", "ods", "ppt", "pptx", "py", "ipynb", "log", "ini", "db", "sqlite", "mat", "pkl",
    "h5", "hdf5", "pt", "pth", "url", "lnk", "sh", "bat", "exe", "md5", "sha256",
];

/// Endings of files that hold images, read or not.
const IMAGES: &[&str] = &[
    "png", "jpg", "jpeg", "jpe", "jfif", "tif", "tiff", "webp", "bmp", "gif", "dcm", "dicom", "dic", "ima", "jp2",
    "j2k", "jpx", "jls", "jxl", "heic", "heif", "avif", "pgm", "ppm", "pnm", "svg", "nii", "gz", "npy", "npz", "mha",
    "mhd", "nrrd", "raw",
];

/// One spelling for each name: accents composed, no blanks around it. Unpacking on a Mac decomposes accents.
pub(super) fn one_spelling(name: &str) -> String {
    name.trim().nfc().collect()
}

/// The words of a name in lower case: `ManualMask_2` has `manual`, `mask` and `2`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = (c.is_uppercase() && before.is_lowercase()) || (c.is_numeric() != before.is_numeric());
        if (!c.is_alphanumeric() || starts) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The split that a folder's name stands for, an index into [`SPLITS`].
pub(super) fn split_of(name: &str) -> Option<usize> {
    let words = words(name);
    let telling = |word: &&String| !FILLERS.contains(&word.as_str()) && !word.chars().all(char::is_numeric);
    let mut telling = words.iter().filter(telling);
    let (word, none) = (telling.next()?, telling.next());
    SPLIT_WORDS.iter().position(|all| none.is_none() && all.contains(&word.as_str()))
}

/// Whether a file or folder was put there by a system or a program, not by a person.
pub(super) fn is_system(name: &str) -> bool {
    let lower = name.to_lowercase();
    let known = [
        "__macosx",
        "@eadir",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "#recycle",
        "lost+found",
        "system volume information",
        "icon\r",
        "__pycache__",
        // The index of a DICOM medium, in the clothes of a DICOM file.
        "dicomdir",
    ];
    name.starts_with('.')
        || known.contains(&lower.as_str())
        || lower.starts_with("synofile_thumb")
        || lower.ends_with("@synoeastream")
        || lower.ends_with("@synoresource")
}

/// How sure a name is that masks go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    /// It says so.
    Sure,
    /// It may; the names of the files beside decide.
    Maybe,
}

/// Whether masks, or other drawings on images, go by a folder's name. `with_mask` is of people's faces.
pub(super) fn mask_of(name: &str) -> Option<Mask> {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has(&["with", "without", "no", "not", "incorrect", "unmasked"]) {
        return None;
    }
    match words.last() {
        Some(last) if MASKS.contains(&last.as_str()) => Some(Mask::Sure),
        _ if has(DRAWN) || words.windows(2).any(|pair| pair == ["ground", "truth"]) => Some(Mask::Maybe),
        _ => None,
    }
}

/// What is left of a file's name when it ends as that of a mask does: `a` of `a_mask.png`.
pub(super) fn masked(file: &str) -> Option<&str> {
    let stem = stem(file);
    let endings = ["mask", "masks", "seg", "segmentation", "lungmask", "overlay"];
    let cut = stem.rfind(['_', '-', ' ', '.'])?;
    endings.contains(&stem[cut + 1..].to_lowercase().as_str()).then_some(&stem[..cut])
}

/// `path`, or the first of `name (2).png`, `name (3).png` … that is not taken.
pub(super) fn free(path: &str, taken: impl Fn(&str) -> bool) -> String {
    let (folder, file) = path.rsplit_once('/').map_or(("", path), |(folder, file)| (folder, file));
    let (stem, ending) = file.rfind('.').filter(|&at| at > 0).map_or((file, ""), |at| file.split_at(at));
    let slash = if folder.is_empty() { "" } else { "/" };
    let numbered = (2..).map(|number| format!("{folder}{slash}{stem} ({number}){ending}"));
    std::iter::once(path.to_owned()).chain(numbered).find(|path| !taken(path)).unwrap_or_default()
}

/// A file's name without its ending.
pub(super) fn stem(file: &str) -> &str {
    match file.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() <= 5 => stem,
        _ => file,
    }
}

fn ending(file: &str) -> String {
    file.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_lowercase())
}

/// Whether a file's name says that it is no image.
pub(super) fn is_document(file: &str) -> bool {
    DOCUMENTS.contains(&ending(file).as_str())
}

/// Whether a file's name says that it holds an image.
pub(super) fn is_image(file: &str) -> bool {
    IMAGES.contains(&ending(file).as_str())
}

/// Whether a file's name says that it is a table of labels or groups.
pub(super) fn is_table(file: &str) -> bool {
    ["csv", "tsv"].contains(&ending(file).as_str())
}

/// What folders are that are no classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoClasses {
    /// Numbered parts of a large set.
    Numbered,
    /// One for each patient, study or series.
    Patients,
}

/// Whether folders with these names, which hold so many images each on the average, are something else than classes.
pub(super) fn no_classes(names: &[&str], mean_images: f64) -> Option<NoClasses> {
    if names.len() < 2 {
        return None;
    }
    let parts = [
        "images", "image", "imgs", "img", "part", "batch", "chunk", "folder", "archive", "set", "png", "jpg", "volume",
    ];
    let people = [
        "patient", "patients", "pat", "pt", "p", "subject", "subj", "sub", "case", "study", "series", "person", "id",
        "s",
    ];
    // A word and a number: `images_001`, `patient64541`, `sub-01`.
    let numbered = |name: &&str| match &words(name)[..] {
        [word, number] if number.chars().all(char::is_numeric) => Some(word.clone()),
        _ => None,
    };
    let of: Option<Vec<String>> = names.iter().map(numbered).collect();
    if let Some(of) = of.filter(|of| of.iter().all(|word| *word == of[0])) {
        if parts.contains(&of[0].as_str()) {
            return Some(NoClasses::Numbered);
        }
        if people.contains(&of[0].as_str()) {
            return Some(NoClasses::Patients);
        }
    }
    let long_number = |name: &&str| name.chars().filter(char::is_ascii_digit).count() >= 3;
    if names.len() > 5 && names.iter().all(long_number) {
        return Some(if mean_images <= 20.0 { NoClasses::Patients } else { NoClasses::Numbered });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_known_in_any_case_and_by_their_usual_words() {
        for (names, split) in [
            (
                &["train", "Train", "TRAINING", "training_set", "train images", "stage_2_train_images"][..],
                Some("train"),
            ),
            (&["val", "valid", "Validation", "dev", "Val Set"], Some("val")),
            (&["test", "Test", "Testing", "TEST_DATA", "test2"], Some("test")),
            (&["trainee", "tested positive", "Normal", "images", "", "train and test", "contest"], None),
        ] {
            for name in names {
                assert_eq!(split_of(name).map(|split| SPLITS[split]), split, "{name}");
            }
        }
    }

    #[test]
    fn masks_are_known_and_people_with_masks_are_none() {
        for name in ["masks", "mask", "lung masks", "ManualMask", "leftMask", "infection_masks"] {
            assert_eq!(mask_of(name), Some(Mask::Sure), "{name}");
        }
        for name in ["Lung Segmentation Data", "annotations", "ground_truth", "labels"] {
            assert_eq!(mask_of(name), Some(Mask::Maybe), "{name}");
        }
        for name in ["images", "with_mask", "without mask", "Normal", "masked ball"] {
            assert_eq!(mask_of(name), None, "{name}");
        }
        assert_eq!((masked("a_1_mask.png"), masked("mask.png"), masked("a.png")), (Some("a_1"), None, None));
    }

    #[test]
    fn numbers_and_patients_are_no_classes_and_grades_are() {
        assert_eq!(no_classes(&["images_001", "images_002"], 10.0), Some(NoClasses::Numbered));
        assert_eq!(no_classes(&["patient00001", "patient64540"], 1.0), Some(NoClasses::Patients));
        let numbers = ["10000032", "10000764", "10000898", "10000935", "10000980", "10001038"];
        assert_eq!(no_classes(&numbers, 3.0), Some(NoClasses::Patients));
        for classes in [
            &["0", "1"][..],
            &["grade 1", "grade 2"],
            &["COVID-19", "Normal"],
            &["class1", "class2"],
            &["patient00001"],
        ] {
            assert_eq!(no_classes(classes, 100.0), None, "{classes:?}");
        }
    }

    #[test]
    fn composed_and_decomposed_accents_are_one_spelling() {
        assert_eq!(one_spelling("Neumoni\u{301}a "), one_spelling("Neumon\u{ed}a"));
    }
}
