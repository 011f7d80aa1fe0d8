//! What the images of each class are like as files: a class that differs from the others in what has nothing to do with a
//! finding is what a network learns first.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Unused;
use crate::image::{Radiograph, is_dicom};

/// What an image is like as a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its format, by its first bytes.
    pub format: String,
    /// Bits of each value; 8 where the format has no other, or does not tell here.
    pub bits: u8,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// The smallest and the largest value, where 0 is black and 1 is white.
    pub values: [f32; 2],
    /// See [`Unused::of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<u32>,
}

impl Facts {
    /// Those of a file and what was decoded of it.
    pub fn of(file: &[u8], image: &Radiograph) -> Self {
        let (format, bits) = match file {
            [0x89, b'P', b'N', b'G', ..] => ("PNG", file.get(24).copied().unwrap_or(8)),
            [0xff, 0xd8, ..] => ("JPEG", 8),
            [b'I', b'I', ..] | [b'M', b'M', ..] => ("TIFF", tiff_bits(file).unwrap_or(8)),
            [b'G', b'I', b'F', ..] => ("GIF", 8),
            [b'B', b'M', ..] => ("BMP", 8),
            [b'R', b'I', b'F', b'F', ..] => ("WebP", 8),
            _ if is_dicom(file) => ("DICOM", 16),
            _ => ("other", 8),
        };
        let values = image.luma().iter().fold([1.0_f32, 0.0_f32], |[low, high], &v| [low.min(v), high.max(v)]);
        let (height, width, below) = (image.height(), image.width(), Unused::of(image));
        Self { format: format.into(), bits, height, width, values, below }
    }
}

/// `BitsPerSample` of the first page.
fn tiff_bits(file: &[u8]) -> Option<u8> {
    let little = file[0] == b'I';
    let number = |at: usize, len: usize| {
        let bytes = file.get(at..at + len)?.iter().map(|&byte| usize::from(byte));
        let value = |sum: usize, byte: usize| sum << 8 | byte;
        Some(if little { bytes.rev().fold(0, value) } else { bytes.fold(0, value) })
    };
    let page = number(4, 4)?;
    (0..number(page, 2)?).map(|entry| page + 2 + 12 * entry).find(|&at| number(at, 2) == Some(258)).and_then(|at| {
        let at = if number(at + 4, 4)? > 2 { number(at + 8, 4)? } else { at + 8 };
        u8::try_from(number(at, 2)?).ok()
    })
}

/// The images of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFacts {
    /// Its name.
    pub class: String,
    /// Images whose facts are known.
    pub images: usize,
    /// How many there are of each format.
    pub formats: BTreeMap<String, usize>,
    /// How many there are of each depth in bits.
    pub bits: BTreeMap<u8, usize>,
    /// Smallest, median and largest height and width, each for itself, in pixels.
    pub sizes: [[usize; 2]; 3],
    /// Smallest and largest value of all, in `[0, 1]`.
    pub values: [f32; 2],
}

/// Patients, or other groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupFacts {
    /// How many there are.
    pub groups: usize,
    /// Images whose group is known.
    pub images: usize,
    /// Those that have images in several splits; at most a thousand.
    pub across_splits: Vec<String>,
}

/// What the images of a set are like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// In label order.
    pub by_class: Vec<ClassFacts>,
    /// `None` when nobody knows.
    pub groups: Option<GroupFacts>,
    /// Images whose values leave most of their type unused, where there are any: a value range may be meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused: Option<Unused>,
    /// In which way a class differs from the others, values that may be meant otherwise, and patients that lie in several
    /// splits: sentences.
    pub warnings: Vec<String>,
}

/// Sums up images by `facts`, each with its label, and by `groups`, each image's with the split that it is in.
pub fn summary<'a>(
    classes: &[String],
    facts: impl Iterator<Item = (usize, &'a Facts)>,
    groups: impl Iterator<Item = (&'static str, &'a str)>,
) -> Summary {
    let (mut of_class, mut unused) = (vec![Vec::new(); classes.len()], Unused::default());
    for (label, facts) in facts {
        // A label beyond the classes is of images that may be of one of several.
        if let Some(of_class) = of_class.get_mut(label) {
            unused.count(label, facts.below);
            of_class.push(facts);
        }
    }
    let by_class: Vec<ClassFacts> =
        classes.iter().zip(&of_class).map(|(class, facts)| ClassFacts::of(class, facts)).collect();
    let groups = self::groups(groups);
    let mut warnings = differences(&by_class);
    warnings.extend(unused.note(classes));
    if let Some(GroupFacts { across_splits, .. }) = groups.as_ref().filter(|groups| !groups.across_splits.is_empty()) {
        warnings.push(format!(
            "{} patient(s) have images in several splits, such as {}: what is measured on them flatters",
            across_splits.len(),
            across_splits[0]
        ));
    }
    Summary { by_class, groups, unused: (unused.below > 0).then_some(unused), warnings }
}

impl ClassFacts {
    fn of(class: &str, facts: &[&Facts]) -> Self {
        let (mut formats, mut bits) = (BTreeMap::new(), BTreeMap::new());
        let mut values = [1.0_f32, 0.0_f32];
        for one in facts {
            *formats.entry(one.format.clone()).or_default() += 1;
            *bits.entry(one.bits).or_default() += 1;
            values = [values[0].min(one.values[0]), values[1].max(one.values[1])];
        }
        let sorted = |side: fn(&Facts) -> usize| {
            let mut sides: Vec<usize> = facts.iter().map(|one| side(one)).collect();
            sides.sort_unstable();
            [sides.first(), sides.get(sides.len() / 2), sides.last()].map(|side| side.copied().unwrap_or(0))
        };
        let (heights, widths) = (sorted(|one| one.height), sorted(|one| one.width));
        let sizes = std::array::from_fn(|i| [heights[i], widths[i]]);
        Self { class: class.to_owned(), images: facts.len(), formats, bits, sizes, values }
    }

    /// The most frequent of `counts`, where nine in ten images have it.
    fn usual<T: Clone>(&self, counts: &BTreeMap<T, usize>) -> Option<T> {
        let (value, count) = counts.iter().max_by_key(|(_, count)| **count)?;
        (10 * count >= 9 * self.images).then(|| value.clone())
    }
}

/// How much larger the usual side of one class's images has to be than that of all others to be named.
const LARGER: f64 = 1.25;

/// The share of all values that one class has to leave unused, where the others use them, to be named.
const UNUSED: f32 = 0.25;

/// In which way one class differs from all others.
fn differences(classes: &[ClassFacts]) -> Vec<String> {
    let mut said = Vec::new();
    let known: Vec<&ClassFacts> = classes.iter().filter(|class| class.images > 0).collect();
    if known.len() < 2 {
        return said;
    }
    for class in &known {
        let others: Vec<&&ClassFacts> = known.iter().filter(|other| other.class != class.class).collect();
        let tail = "a network can tell them by that alone";
        let name = &class.class;
        if let Some(format) = class.usual(&class.formats)
            && others.iter().all(|other| other.usual(&other.formats).is_some_and(|usual| usual != format))
        {
            said.push(format!("the images of `{name}` are {format} files and those of the others are not: {tail}"));
        }
        if let Some(bits) = class.usual(&class.bits)
            && others.iter().all(|other| other.usual(&other.bits).is_some_and(|usual| usual != bits))
        {
            said.push(format!(
                "the images of `{name}` have {bits} bits a value and those of the others have not: {tail}"
            ));
        }
        let side = |class: &ClassFacts| (class.sizes[1].iter().product::<usize>() as f64).sqrt();
        let sides = others.iter().map(|other| side(class) / side(other));
        let (least, most) =
            sides.fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
        if least >= LARGER || most <= 1.0 / LARGER {
            let [height, width] = class.sizes[1];
            said.push(format!(
                "the images of `{name}` are of another size than the others, {width}×{height} px in the median: {tail}"
            ));
        }
        let range = |class: &ClassFacts| class.values[1] - class.values[0];
        if others.iter().all(|other| range(other) - range(class) >= UNUSED) {
            let [low, high] = class.values;
            said.push(format!(
                "the images of `{name}` use values from {low:.2} to {high:.2} only, those of the others more: {tail}"
            ));
        }
    }
    // Of two classes that differ, each differs: once is enough.
    if known.len() == 2 {
        let mut kinds = BTreeSet::new();
        said.retain(|sentence| {
            kinds.insert(["files and", "bits a", "size", "values from"].iter().position(|kind| sentence.contains(kind)))
        });
    }
    said
}

fn groups<'a>(of_images: impl Iterator<Item = (&'static str, &'a str)>) -> Option<GroupFacts> {
    let mut groups = BTreeMap::<&str, BTreeSet<&str>>::new();
    let mut images = 0;
    for (split, group) in of_images {
        images += 1;
        groups.entry(group).or_default().insert(split);
    }
    let across = groups.iter().filter(|(_, splits)| splits.len() > 1).map(|(group, _)| (*group).to_owned());
    let across_splits = across.take(1000).collect();
    (images > 0).then_some(GroupFacts { groups: groups.len(), images, across_splits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(format: &str, bits: u8, side: usize, high: f32) -> Facts {
        Facts { format: format.into(), bits, height: side, width: side, values: [0.0, high], below: None }
    }

    fn said(classes: &[&[Facts]]) -> Vec<String> {
        let of = |(i, facts): (usize, &&[Facts])| ClassFacts::of(&format!("c{i}"), &facts.iter().collect::<Vec<_>>());
        differences(&classes.iter().enumerate().map(of).collect::<Vec<_>>())
    }

    #[test]
    fn a_class_that_differs_as_a_file_is_named() {
        let usual = [facts("PNG", 8, 500, 1.0), facts("PNG", 8, 600, 0.9)];
        assert!(said(&[&usual, &usual]).is_empty());
        for (other, named) in [
            (facts("JPEG", 8, 600, 1.0), "JPEG files"),
            (facts("PNG", 16, 600, 1.0), "16 bits a value"),
            (facts("PNG", 8, 299, 1.0), "299×299 px"),
            (facts("PNG", 8, 600, 0.0625), "0.00 to 0.06"),
        ] {
            let said = said(&[&usual, std::slice::from_ref(&other), &usual]);
            assert!(said.len() == 1 && said[0].contains(named) && said[0].contains("`c1`"), "{named}: {said:?}");
        }
        assert_eq!(said(&[&usual, &[facts("JPEG", 8, 600, 1.0)]]).len(), 1);
    }

    #[test]
    fn patients_in_two_splits_are_named() {
        let groups = [("train", "p1"), ("train", "p2"), ("test", "p2")];
        let found = summary(&["c".into()], std::iter::empty(), groups.into_iter());
        assert_eq!(found.groups, Some(GroupFacts { groups: 2, images: 3, across_splits: vec!["p2".into()] }));
        assert!(found.warnings[0].contains("1 patient(s)"), "{:?}", found.warnings);
    }

    #[test]
    fn depth_is_read_from_the_header() {
        let image = Radiograph::new(1, 2, vec![0.25, 0.5]).unwrap();
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x01".to_vec();
        png.push(16);
        assert_eq!(
            Facts::of(&png, &image),
            Facts { format: "PNG".into(), bits: 16, height: 1, width: 2, values: [0.25, 0.5], below: None }
        );
        // One entry: BitsPerSample, SHORT, 1 value, 12.
        let tiff = b"II*\0\x08\0\0\0\x01\0\x02\x01\x03\0\x01\0\0\0\x0c\0\0\0";
        assert_eq!(Facts::of(tiff, &image).bits, 12);
    }
}
