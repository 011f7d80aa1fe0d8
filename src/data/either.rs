//! Films of which it is known only that they have one of several findings.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A folder of films that have one of several classes, nobody knows which: a pneumonia that is not COVID-19, say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Either {
    /// The class folder's name.
    pub folder: String,
    /// The classes that its films may have.
    pub classes: Vec<String>,
}

impl Either {
    /// What `FOLDER=CLASS|CLASS…` says.
    ///
    /// # Errors
    /// [`Error::Config`] when it says nothing of the kind.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = || {
            let reason = format!("`{text}`; write FOLDER=CLASS|CLASS, such as `Other Pneumonia=Viral|Bacterial`");
            Error::Config { field: "either", reason }
        };
        let (folder, classes) = text.split_once('=').ok_or_else(refuse)?;
        let classes: Vec<String> = classes.split('|').map(|class| class.trim().to_owned()).collect();
        if folder.is_empty() || classes.len() < 2 || classes.iter().any(String::is_empty) {
            return Err(refuse());
        }
        Ok(Self { folder: folder.trim().to_owned(), classes })
    }

    /// Places of its classes among `classes`.
    ///
    /// # Errors
    /// [`Error::Config`] for a class that is none of them, or is named twice, and for a folder that is one of them.
    pub fn labels(&self, classes: &[String]) -> Result<Vec<usize>> {
        let refuse = |reason| Err(Error::Config { field: "either", reason });
        if classes.contains(&self.folder) {
            return refuse(format!("`{}` is a class itself; name the classes without it", self.folder));
        }
        let mut labels = Vec::new();
        for class in &self.classes {
            match classes.iter().position(|known| known == class) {
                Some(label) if labels.contains(&label) => return refuse(format!("`{class}` is named twice")),
                Some(label) => labels.push(label),
                None => return refuse(format!("`{class}` is no class; there are: {}", classes.join(", "))),
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_its_classes_are_read_and_found() {
        let either = Either::parse("Other Pneumonia=Viral Pneumonia|Bacterial Pneumonia").unwrap();
        assert_eq!(either.folder, "Other Pneumonia");
        let classes = ["Bacterial Pneumonia", "Normal", "Viral Pneumonia"].map(str::to_owned);
        assert_eq!(either.labels(&classes).unwrap(), [2, 0]);
        assert!(either.labels(&classes[..2]).unwrap_err().to_string().contains("`Viral Pneumonia` is no class"));
        let twice = Either { classes: vec!["Normal".into(), "Normal".into()], ..either };
        assert!(twice.labels(&classes).unwrap_err().to_string().contains("named twice"));
        assert!(Either { folder: "Normal".into(), ..twice }.labels(&classes).is_err());
    }

    #[test]
    fn what_names_no_choice_is_refused_with_an_example() {
        for text in ["Other", "Other=", "Other=Viral", "=Viral|Bacterial", "Other=Viral|"] {
            assert!(Either::parse(text).unwrap_err().to_string().contains("FOLDER=CLASS|CLASS"), "{text}");
        }
    }
}
