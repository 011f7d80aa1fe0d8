//! Where images come from, and what may be learned from that: within a hospital only disease differs.

use crate::error::{Error, Result};

/// Where an image comes from, and what that means for training on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// Index of its source.
    pub source: usize,
    /// How much it counts in the question whether it is healthy.
    pub weight: f32,
}

impl Origin {
    /// Of images of these sources: those of a source that has healthy and ill ones weigh 1, all others `between`. `None`
    /// where no source has both.
    ///
    /// # Shapes
    /// - `sources`, `healthy`: one entry an image
    pub fn of(sources: &[usize], healthy: &[bool], between: f32) -> Option<Vec<Self>> {
        assert_eq!(sources.len(), healthy.len());
        let mut kinds = vec![[false; 2]; sources.iter().max().map_or(0, |last| last + 1)];
        sources.iter().zip(healthy).for_each(|(&source, &healthy)| kinds[source][usize::from(healthy)] = true);
        let weight = |source: usize| if kinds[source] == [true; 2] { 1.0 } else { between };
        kinds
            .contains(&[true; 2])
            .then(|| sources.iter().map(|&source| Self { source, weight: weight(source) }).collect())
    }
}

/// The label of the class called `healthy`.
///
/// # Errors
/// [`Error::Config`] that names the classes when there is none.
pub fn healthy_class(classes: &[String], healthy: &str) -> Result<usize> {
    classes.iter().position(|class| class == healthy).ok_or_else(|| {
        let reason = format!("`{healthy}` is no class; there are: {}", classes.join(", "));
        Error::Config { field: "healthy", reason }
    })
}

/// The error where [`Origin::of`] finds no source with both kinds of images.
pub fn no_pairs(healthy: &str) -> Error {
    let reason = format!(
        "no source has images of `{healthy}` and of others, so nothing can be learned within one; --hospital says which \
         images belong together"
    );
    Error::Config { field: "healthy", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_a_source_with_both_kinds_count_in_full() {
        let weights = |sources: &[usize], healthy: &[bool]| {
            Origin::of(sources, healthy, 0.25).map(|origins| origins.iter().map(|o| o.weight).collect::<Vec<_>>())
        };
        assert_eq!(weights(&[0, 1, 0, 2], &[true, true, false, false]).unwrap(), [1.0, 0.25, 1.0, 0.25]);
        assert_eq!(weights(&[0, 1], &[true, false]), None);
        assert!(no_pairs("Normal").to_string().contains("--hospital"));
        let classes = ["a".to_owned(), "b".to_owned()];
        assert_eq!(healthy_class(&classes, "b").unwrap(), 1);
        assert!(healthy_class(&classes, "Normal").unwrap_err().to_string().contains("a, b"));
    }
}
