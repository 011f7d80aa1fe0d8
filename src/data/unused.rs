//! Images whose values leave most of their type unused, counted over a set: a question that is asked once for all of them, and
//! a shortcut where one class alone is stored so.

use serde::Serialize;

use crate::image::Radiograph;

/// How many images of each label hold values that may be meant to be brighter, see
/// [`Values::unused_above`](crate::image::Values::unused_above).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// The power of two that the values of all of them lie below; 0 where there are none.
    pub below: u32,
    /// Images of each label: those, and all.
    pub by_class: Vec<[usize; 2]>,
}

impl Unused {
    /// What [`Self::count`] takes of an image, as it is read.
    pub fn of(film: &Radiograph) -> Option<u32> {
        film.values().and_then(|values| values.unused_above())
    }

    /// Counts an image of `label`, whose values lie below a power of two that leaves most of their type unused, or do not.
    pub fn count(&mut self, label: usize, below: Option<u32>) {
        if self.by_class.len() <= label {
            self.by_class.resize(label + 1, [0; 2]);
        }
        self.below = self.below.max(below.unwrap_or(0));
        self.by_class[label][0] += usize::from(below.is_some());
        self.by_class[label][1] += 1;
    }

    /// What there is to say, and to ask; `None` where all is well. `labels` are the names of the labels.
    pub fn note(&self, labels: &[impl AsRef<str>]) -> Option<String> {
        if self.below == 0 {
            return None;
        }
        let [images, all] = self.by_class.iter().fold([0; 2], |sum, own| [sum[0] + own[0], sum[1] + own[1]]);
        let each = self.by_class.iter().zip(labels).filter(|([_, all], _)| *all > 0);
        let each: Vec<_> = each.map(|([images, all], label)| format!("{} {images} of {all}", label.as_ref())).collect();
        let (below, most) = (self.below, self.below - 1);
        Some(format!(
            "in {images} of {all} images ({}) all values are below {below}, most of what their type has room for is unused, and \
             they are read with hardly any contrast; if {most} is white, read them with the value range 0..{most}",
            each.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_by_class_and_the_widest_of_them_is_asked_about() {
        let mut unused = Unused::default();
        assert_eq!(unused.note(&["a", "b"]), None);
        for (label, below) in [(1, Some(1024)), (1, Some(4096)), (0, None), (1, None)] {
            unused.count(label, below);
        }
        let note = unused.note(&["a", "b"]).unwrap();
        assert!(note.starts_with("in 2 of 4 images (a 0 of 1, b 2 of 3) all values are below 4096"), "{note}");
    }
}
