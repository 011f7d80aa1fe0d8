//! What an image shows, as far as its header says: other things than a chest radiograph are refused before any pixel is read.

use crate::error::{Error, Result};

/// Modalities that chest radiographs come under (PS3.3, C.7.3.1.1.1): computed and digital radiography; `RG`, what was
/// exposed on a plate; `RF`, for rooms with fluoroscopy take plain radiographs too; `OT`, which scans of old ones say. `XA`
/// is not among them: catheter laboratories take none.
const MODALITIES: &[&str] = &["CR", "DX", "RG", "RF", "OT"];

/// What is in names of the body part that stand for the chest: the standard's and what devices write in other languages.
const CHEST: &[&str] = &["CHEST", "THORA", "TORAX", "TORACE", "LUNG", "CXR", "POITRINE"];

/// Names of a body part that say nothing.
const NOTHING: &[&str] = &["", "UNKNOWN", "UNSPECIFIED", "OTHER", "NA", "N.A.", "NONE", "DEFAULT"];

/// Whether the header leaves it open that this is a chest radiograph.
///
/// # Errors
/// [`Error::NotChest`] with what it says.
pub fn check(modality: &str, body_part: &str) -> Result<()> {
    let (modality, part) = (modality.trim().to_ascii_uppercase(), body_part.trim().to_ascii_uppercase());
    if !modality.is_empty() && !MODALITIES.contains(&modality.as_str()) {
        let known = name(&modality).map_or_else(String::new, |name| format!(" ({name})"));
        return Err(Error::NotChest { what: format!("modality {modality}{known}") });
    }
    if !NOTHING.contains(&part.as_str()) && !CHEST.iter().any(|chest| part.contains(chest)) {
        return Err(Error::NotChest { what: format!("body part {part}") });
    }
    Ok(())
}

/// What the codes stand for that are met most.
fn name(modality: &str) -> Option<&'static str> {
    Some(match modality {
        "CT" => "computed tomography",
        "MR" => "magnetic resonance",
        "MG" => "mammography",
        "US" => "ultrasound",
        "XA" => "angiography",
        "NM" | "PT" => "nuclear medicine",
        "IO" | "PX" => "dental radiography",
        "SR" => "a report",
        "SEG" => "a segmentation",
        "PR" => "how to show another image",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chest_radiographs_and_headers_that_say_nothing_pass() {
        for (modality, part) in
            [("CR", "CHEST"), ("DX", "Chest "), ("", ""), ("DX", "THORAX PA"), ("OT", "UNKNOWN"), ("RF", "")]
        {
            check(modality, part).unwrap();
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_the_header_says() {
        for (modality, part, what) in [
            ("CT", "CHEST", "modality CT (computed tomography)"),
            ("XY", "", "modality XY"),
            ("DX", "HAND", "body part HAND"),
            ("MG", "BREAST", "modality MG (mammography)"),
        ] {
            let error = check(modality, part).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(error.kind(), "not-chest");
        }
    }
}
