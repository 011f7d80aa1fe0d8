//! Which images come from one hospital, where the collections of a manifest do not say: a collection may hold several
//! hospitals, and a hospital may be in several collections.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A hospital and its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hospital {
    /// What it is called.
    pub name: String,
    /// Globs on `class/file`: an image that any of them matches was taken there.
    pub images: Vec<String>,
}

impl Hospital {
    /// What `NAME=GLOB|GLOB…` says.
    ///
    /// # Errors
    /// [`Error::Config`] when it says nothing of the kind.
    pub fn parse(text: &str) -> Result<Self> {
        let hospital = text.split_once('=').map(|(name, globs)| Self {
            name: name.trim().to_owned(),
            images: globs.split('|').map(|glob| glob.trim().to_owned()).collect(),
        });
        hospital
            .filter(|hospital| !hospital.name.is_empty() && hospital.images.iter().all(|glob| !glob.is_empty()))
            .ok_or_else(|| {
                let reason = format!("`{text}`; write NAME=GLOB|GLOB, such as `nih=Normal/rad_*|Other Pneumonia/*`");
                Error::Config { field: "hospital", reason }
            })
    }
}

/// Gives each sample the first of `hospitals` that it was taken in as its source; one that is of none keeps its own.
///
/// # Errors
/// [`Error::Dataset`] for a malformed glob, and for a hospital that no sample is of.
#[cfg(feature = "cli")]
pub fn assign_hospitals<'a>(
    hospitals: &[Hospital],
    samples: impl IntoIterator<Item = &'a mut super::Sample>,
) -> Result<()> {
    let globs = hospitals.iter().map(|hospital| super::folder::globs(&hospital.images)).collect::<Result<Vec<_>>>()?;
    let mut found = vec![false; hospitals.len()];
    for sample in samples {
        if let Some(i) = globs.iter().position(|globs| globs.as_ref().is_some_and(|globs| globs.is_match(&sample.name)))
        {
            sample.source = Some(hospitals[i].name.clone());
            found[i] = true;
        }
    }
    match found.iter().position(|found| !found) {
        Some(i) => {
            let Hospital { name, images } = &hospitals[i];
            let reason = format!("no image is of the hospital `{name}`: none matches {}", images.join(" or "));
            Err(Error::Dataset { reason })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_globs_are_read() {
        let hospital = Hospital::parse("nih = Normal/rad_* | Other Pneumonia/nih_*").unwrap();
        assert_eq!(
            (hospital.name.as_str(), &hospital.images[..]),
            ("nih", &["Normal/rad_*", "Other Pneumonia/nih_*"].map(String::from)[..])
        );
        for text in ["nih", "nih=", "=a/*", "nih=a/*|"] {
            assert!(Hospital::parse(text).unwrap_err().to_string().contains("NAME=GLOB|GLOB"), "{text}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn images_get_the_first_hospital_that_matches_and_a_hospital_without_images_is_an_error() {
        let sample = |name: &str| crate::data::Sample {
            path: name.into(),
            name: name.into(),
            class: 0,
            group: None,
            packed: None,
            source: Some("a collection".into()),
        };
        let mut samples = [sample("Normal/rad_1.png"), sample("Sick/nih_1.png"), sample("Sick/rad_2.png")];
        let both = Hospital::parse("nih=Normal/rad_*|Sick/nih_*").unwrap();
        assign_hospitals(&[both, Hospital::parse("rest=Normal/*|Sick/nih_*|Sick/rad_*").unwrap()], &mut samples)
            .unwrap();
        assert_eq!(samples.each_ref().map(|sample| sample.source.as_deref().unwrap()), ["nih", "nih", "rest"]);
        let none = assign_hospitals(&[Hospital::parse("other=Mass/*").unwrap()], &mut samples).unwrap_err();
        assert!(none.to_string().contains("`other`") && none.to_string().contains("Mass/*"), "{none}");
    }
}
